import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CLOSES, ERRORS } from '../../src/protocol/errors.ts';
import { PROTOCOL_VERSION, RESET_REASONS } from '../../src/protocol/messages.ts';
import { isPosition } from '../../src/protocol/position.ts';
import { parseClientFrame } from '../../src/protocol/requests.ts';
import { colourOf } from '../../src/roulette/wheel.ts';
import { protocolExamples } from './blocks.ts';
import { declaredMessages, unionWords } from './message-fields.ts';

const documentText = readFileSync('src/protocol/PROTOCOL.md', 'utf8');
const messagesText = readFileSync('src/protocol/messages.ts', 'utf8');
const declared = declaredMessages(messagesText);

const examples = protocolExamples(documentText);
const CLIENT = ['subscribe', 'unsubscribe', 'ping', 'auth'];
const fromServer = examples.filter(({ heading }) => !CLIENT.includes(heading));
const fromClient = examples.filter(({ heading }) => CLIENT.includes(heading));

const rows = (pattern: RegExp): string[][] => [...documentText.matchAll(pattern)].map((match) => match.slice(1));

describe('PROTOCOL.md', () => {
  it('has an example of every message that the server sends, and of no other', () => {
    expect(declared.size).toBeGreaterThanOrEqual(15);
    expect([...new Set(fromServer.map(({ heading }) => heading))].sort()).toEqual([...declared.keys()].sort());
  });

  it.each(fromServer)('shows $heading with exactly the fields of the code', ({ heading, value }) => {
    expect(value['type']).toBe(heading);
    const fields = declared.get(heading);
    const allowed = [...(fields?.required ?? []), ...(fields?.optional ?? [])];
    expect(Object.keys(value).filter((name) => !allowed.includes(name))).toEqual([]);
    expect([...(fields?.required ?? [])].filter((name) => !Object.hasOwn(value, name))).toEqual([]);
    for (const name of allowed) expect(documentText).toContain(name);
  });

  it('uses positions, colours and a version that are possible', () => {
    for (const { value } of fromServer) {
      for (const name of ['position', 'prev']) if (name in value) expect(isPosition(value[name])).toBe(true);
      if (typeof value['numero'] === 'number') expect(value['cor']).toBe(colourOf(value['numero']));
    }
    expect(examples.find(({ heading }) => heading === 'hello')?.value['protocol']).toBe(PROTOCOL_VERSION);
  });

  it('has an example of every client frame, which the code accepts with all its fields', () => {
    expect(fromClient.map(({ heading }) => heading)).toEqual(CLIENT);
    for (const { heading, value } of fromClient) {
      expect(value['type']).toBe(heading);
      expect(parseClientFrame(JSON.stringify(value))).toEqual(value);
    }
  });

  it('lists every error code with its status, retry and sentence', () => {
    const listed = rows(/^\| `(\w+)` \| (\d{3}) \| (\w+) \| (.*) \|$/gm);
    expect(listed).toEqual(
      Object.entries(ERRORS).map(([code, { status, retry, text }]) => [code, String(status), retry, text]),
    );
  });

  it('lists every close code with its retry and meaning', () => {
    const listed = rows(/^\| (4\d{3}) \| (\w+) \| (.*) \|$/gm);
    expect(listed).toEqual(Object.entries(CLOSES).map(([code, { retry, text }]) => [code, retry, text]));
  });

  it('names every reason of a reset', () => {
    for (const reason of RESET_REASONS) expect(documentText).toContain(`\`${reason}\``);
  });

  it.each(['Cor', 'Estado', 'NotRecovered'])('names every word of %s', (union) => {
    const words = unionWords(messagesText, union);
    expect(words.length).toBeGreaterThan(2);
    for (const word of words) expect(documentText).toContain(`\`${word}\``);
  });
});

describe('the reader of messages.ts', () => {
  it('finds required and optional fields in every form that the file uses', () => {
    expect(declared.get('new_number')).toEqual({
      required: new Set([
        'type',
        'topic',
        'position',
        'prev',
        'roleta_id',
        'roleta_nome',
        'id',
        'numero',
        'cor',
        'timestamp',
      ]),
      optional: new Set(['suspeito', 'rotulo']),
    });
    expect(declared.get('error')?.optional).toEqual(new Set(['id', 'retry_ms', 'problems']));
    expect(declared.get('pong')?.required).toEqual(new Set(['type', 'id', 'position']));
    expect(declared.get('hello')?.required).toContain('limits');
  });

  it('sees a message that was added and a field that was renamed', () => {
    const changed = `${messagesText}\nexport interface Extra {\n  readonly type: 'extra';\n  readonly more?: string;\n}\n`;
    expect(declaredMessages(changed).get('extra')).toEqual({
      required: new Set(['type']),
      optional: new Set(['more']),
    });
  });
});
