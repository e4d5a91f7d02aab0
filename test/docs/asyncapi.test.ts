import { readFileSync } from 'node:fs';
import specification from '@asyncapi/specs/schemas/3.0.0-without-$id.json' with { type: 'json' };
import { Ajv, type ValidateFunction } from 'ajv';
import formats from 'ajv-formats';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { connectWebsocket } from '../support/inbox.ts';
import { referencesIn } from '../support/references.ts';
import { protocolExamples } from './blocks.ts';
import { declaredMessages, unionWords } from './message-fields.ts';
import { type Stage, startStage } from './stage.ts';

const messagesText = readFileSync('src/protocol/messages.ts', 'utf8');
const examples = protocolExamples(readFileSync('src/protocol/PROTOCOL.md', 'utf8'));
const declared = declaredMessages(messagesText);
const CLIENT = ['subscribe', 'unsubscribe', 'ping', 'auth'];

const schemaShape = z.looseObject({
  required: z.array(z.string()).optional(),
  properties: z.record(z.string(), z.unknown()),
});
const documentShape = z.looseObject({
  channels: z.looseObject({ live: z.looseObject({ messages: z.record(z.string(), z.unknown()) }) }),
  operations: z.record(z.string(), z.unknown()),
  components: z.looseObject({ schemas: z.record(z.string(), schemaShape) }),
});

let stage: Stage;
let document: z.infer<typeof documentShape>;
/** Checks one message by the definition of this name. */
let check: (name: string, message: unknown) => string;

beforeAll(async () => {
  stage = await startStage({ SYNC_INTERVAL_MS: '1000' });
  document = documentShape.parse(await stage.get('/asyncapi.json'));
  const schema = Object(await stage.get('/protocol.schema.json'));
  const ajv = new Ajv({ strict: true, allowUnionTypes: true });
  formats.default(ajv);
  ajv.addSchema(schema, 'protocol');
  check = (name, message) => {
    const validate: ValidateFunction = ajv.compile({ $ref: `protocol#/definitions/${name}` });
    return validate(message) ? '' : ajv.errorsText(validate.errors);
  };
});
afterAll(() => stage?.stop());

describe('/asyncapi.json', () => {
  it('is a document of AsyncAPI 3.0 by the official schema, which a wrong one is not', () => {
    const ajv = new Ajv({ strict: false, logger: false });
    formats.default(ajv);
    const validate = ajv.compile(specification);
    expect(validate(document), ajv.errorsText(validate.errors)).toBe(true);
    expect(validate({ ...document, channels: { live: { address: 5 } } })).toBe(false);
  });

  it('refers to nothing that it does not have', () => {
    const references = referencesIn(document);
    expect(references.length).toBeGreaterThan(50);
    for (const reference of references) {
      const found = reference
        .slice(2)
        .split('/')
        .reduce<unknown>((at, key) => Object(at)[key], document);
      expect(found, reference).toBeDefined();
    }
  });

  it('has every message of PROTOCOL.md, and no other', () => {
    const types = [...declared.keys(), ...CLIENT].sort();
    expect([...new Set(examples.map(({ heading }) => heading))].sort()).toEqual(types);
    expect(Object.keys(document.channels.live.messages).sort()).toEqual(types);
    expect(Object.keys(document.components.schemas).sort()).toEqual(types);
    expect(Object.keys(document.operations).sort()).toEqual([...CLIENT, 'publish'].sort());
  });

  it.each([...declared])('gives %s the fields of the code, required and optional', (type, { required, optional }) => {
    const schema = document.components.schemas[type];
    expect(new Set(schema?.required)).toEqual(required);
    expect(new Set(Object.keys(schema?.properties ?? {}))).toEqual(new Set([...required, ...optional]));
  });

  it.each(['Cor', 'Estado', 'NotRecovered', 'ResetReason'])('names every word of %s', (union) => {
    const text = JSON.stringify(document.components.schemas);
    for (const word of unionWords(messagesText, union)) expect(text).toContain(`"${word}"`);
  });
});

describe('/protocol.schema.json', () => {
  it.each(examples)(
    'takes the example of $heading in PROTOCOL.md, and not one without its fields',
    ({ heading, value }) => {
      const of = CLIENT.includes(heading) ? 'clientFrame' : 'serverMessage';
      expect(check(heading, value)).toBe('');
      expect(check(of, value)).toBe('');
      expect(check(heading, { ...value, added_later: 1 })).toBe('');
      expect(check(heading, { type: heading }).includes('required')).toBe(heading !== 'ping');
    },
  );

  it('refuses a number that no wheel has, and a position that is none', () => {
    const number = examples.find(({ heading }) => heading === 'new_number')?.value;
    expect(check('serverMessage', { ...number, numero: 38 })).not.toBe('');
    expect(check('serverMessage', { ...number, position: 'later' })).not.toBe('');
  });

  it('takes every frame of a service that is used', async () => {
    const client = await connectWebsocket(`127.0.0.1:${stage.port}`);
    const sent = [
      { type: 'subscribe', id: 1, topics: ['roulette:*'] },
      { type: 'ping', id: 'p' },
      { type: 'subscribe', id: 2, topics: ['Nowhere'] },
    ];
    await client.next('hello');
    for (const frame of sent) {
      expect(check('clientFrame', frame)).toBe('');
      client.send(frame);
    }
    await client.next('error');
    const names = { roleta_id: '2010165', roleta_nome: 'Roulette' };
    await stage.post('/api/v1/numbers', { ...names, numero: 0 });
    await stage.post('/api/v1/strategies', { ...names, estado: 'NEUTRAL' });
    await client.next('strategy_update');
    await client.next('sync');
    client.send({ type: 'subscribe', id: 3, topics: ['roulette:2010165'] });
    await client.next('snapshot');
    client.send({ type: 'unsubscribe', id: 4, topics: ['roulette:*'] });
    await client.next('unsubscribed');
    client.socket.terminate();
    const types = new Set(client.all.map(({ type }) => type));
    expect(types).toEqual(
      new Set([
        ...['hello', 'subscribed', 'pong', 'error', 'table_added', 'new_number', 'strategy_update', 'sync'],
        ...['snapshot', 'unsubscribed'],
      ]),
    );
    for (const message of client.all) expect(check('serverMessage', message), JSON.stringify(message)).toBe('');
  });
});
