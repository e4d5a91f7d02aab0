import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { connectWebsocket, type Message, type WebsocketClient } from '../support/inbox.ts';
import { type Stage, startStage } from './stage.ts';
import { differences, type Line, transcriptOf } from './transcript.ts';

let stage: Stage | null = null;
let client: WebsocketClient | null = null;
afterEach(async () => {
  client?.socket.terminate();
  client = null;
  await stage?.stop();
  stage = null;
});

const EVENTS = ['new_number', 'strategy_update'];
const fieldOf = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
const typeOf = (line: Line): unknown => (line.kind === 'expect' ? fieldOf(line.shape, 'type') : undefined);

/** Makes happen what a line of the transcript reports, as a scraper would. */
async function enact(on: Stage, line: Line): Promise<void> {
  if (line.kind !== 'expect') return;
  const event = new Map(Object.entries(Object(line.shape)));
  for (const name of ['type', 'topic', 'position', 'prev', 'timestamp', 'id', '...']) event.delete(name);
  event.set('roleta_id', '2010165').set('roleta_nome', 'Roulette');
  const path = typeOf(line) === 'new_number' ? '/api/v1/numbers' : '/api/v1/strategies';
  await on.post(path, Object.fromEntries(event));
}

/** Events that a connection is shown to get before its first `subscribed`: they happened while nobody was connected. */
function missed(lines: readonly Line[], from: number): readonly Line[] {
  const end = lines.findIndex((line, at) => at > from && (typeOf(line) === 'subscribed' || line.kind === 'connect'));
  return lines.slice(from + 1, end < 0 ? lines.length : end).filter((line) => EVENTS.includes(String(typeOf(line))));
}

/** The words of the document with this run's own epoch and, as it tells a client to, the position of the last event. */
function spoken(text: string, all: readonly Message[]): string {
  const event = all.findLast(({ type }) => EVENTS.includes(String(type)));
  const hello = all.findLast(({ type }) => type === 'hello');
  return text
    .replace(/("(?:after|seen)":)"[0-9a-f]{22}"/g, `$1"${String(event?.['position'])}"`)
    .replace(/("epoch":)"[^"]*"/g, `$1"${String(hello?.['epoch'])}"`);
}

/** Plays a transcript against a real service over real sockets; returns how many lines of the server were compared. */
async function play(lines: readonly Line[]): Promise<number> {
  const on = await startStage({ SYNC_INTERVAL_MS: '60000' });
  stage = on;
  const number = { roleta_id: '2010165', roleta_nome: 'Roulette', numero: 17 };
  await on.post('/api/v1/numbers', number);
  const firstSeen = await connectWebsocket(`127.0.0.1:${on.port}`);
  firstSeen.send({ type: 'subscribe', id: 1, topics: ['roulette:2010165'] });
  const snapshot = await firstSeen.next((message) => ['snapshot', 'new_number'].includes(String(message['type'])));
  if (snapshot['type'] === 'snapshot' && fieldOf(snapshot['numeros'], 'length') === 0)
    await firstSeen.next('new_number');
  firstSeen.socket.terminate();

  const history: Message[] = [];
  let compared = 0;
  let replaying = 0;
  for (const [at, line] of lines.entries()) {
    if (line.kind === 'connect') {
      const before = client;
      const away = missed(lines, at);
      for (const event of away) {
        await enact(on, event);
        if (before === null) throw new Error('the first connection can have missed nothing');
        await before.next(String(typeOf(event)));
      }
      before?.socket.terminate();
      client = await connectWebsocket(`127.0.0.1:${on.port}`);
      replaying = away.length;
      continue;
    }
    if (client === null) throw new Error(`nothing is connected before: ${line.text}`);
    if (line.kind === 'send') {
      client.send(spoken(line.text, history));
      continue;
    }
    if (EVENTS.includes(String(typeOf(line)))) {
      if (replaying > 0) replaying -= 1;
      else await enact(on, line);
    }
    const came = await client.next((message) => message['type'] !== 'sync' && message['type'] !== 'status');
    expect(differences(line.shape, came), line.text).toEqual([]);
    history.push(came);
    compared += 1;
  }
  return compared;
}

describe('the transcript', () => {
  it.each([
    ['src/protocol/PROTOCOL.md', 11],
    ['README.md', 5],
  ])('in %s is what a real service says over a real WebSocket', async (path, atLeast) => {
    const lines = transcriptOf(readFileSync(path, 'utf8'));
    expect(lines[0]).toEqual({ kind: 'connect' });
    expect(await play(lines)).toBeGreaterThanOrEqual(atLeast);
  });
});

describe('the comparison with a transcript', () => {
  const shown = transcriptOf('```\n< {"type":"a","position":"00","list":[{"n":1}],...}\n```')[0];
  const against = (came: unknown): string[] => differences(shown?.kind === 'expect' ? shown.shape : null, came);

  it('passes other positions and, where the document says so, other fields', () => {
    expect(against({ type: 'a', position: 'ff', list: [{ n: 1 }], extra: true })).toEqual([]);
  });

  it.each([
    [{ type: 'b', position: 'ff', list: [{ n: 1 }] }, 'message.type is "b", not "a"'],
    [{ type: 'a', list: [{ n: 1 }] }, 'message.position is shown, and did not come'],
    [{ type: 'a', position: 7, list: [{ n: 1 }] }, 'message.position is number, not string'],
    [{ type: 'a', position: 'ff', list: [] }, 'message.list has 0 entries, not 1'],
    [{ type: 'a', position: 'ff', list: [{ n: 1, m: 2 }] }, 'message.list[0].m came, and is not shown'],
    [{ type: 'a', position: 'ff', list: [{ n: 2 }] }, 'message.list[0].n is 2, not 1'],
  ])('finds what drifted in %j', (came, sentence) => expect(against(came)).toEqual([sentence]));
});
