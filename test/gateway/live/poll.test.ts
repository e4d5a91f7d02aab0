import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { type Message, parseMessage } from '../../support/inbox.ts';

const A = '2010165';

interface Answer {
  readonly frames: readonly Message[];
  readonly next: unknown;
}

async function answerOf(response: Response): Promise<Answer> {
  const { frames, next } = parseMessage(await response.text());
  if (!Array.isArray(frames)) throw new Error('no frames');
  return { frames: frames.map((frame: unknown) => parseMessage(JSON.stringify(frame))), next };
}

describe('a poll', () => {
  let running: TestGateway;

  const ask = (query: string): Promise<Response> => fetch(`http://${running.url}/poll?topics=roulette:${A}${query}`);
  const answered = async (query: string): Promise<Answer> => {
    const answer = await ask(query);
    expect(answer.status).toBe(200);
    return answerOf(answer);
  };
  const typesOf = ({ frames }: Answer): unknown[] => frames.map((frame) => frame['type']);

  beforeEach(async () => {
    running = await startTestGateway();
  });
  afterEach(() => running.gateway.stop());

  it('answers the first request at once with snapshot, acknowledgement and where to go on', async () => {
    const at = running.feed.spin(A, 1);
    const first = await answered('&wait=25');
    expect(typesOf(first)).toEqual(['snapshot', 'subscribed']);
    expect(first.next).toBe(`e1.${at}`);
  });

  it('waits for an event and answers with all of its burst', async () => {
    const { next } = await answered('');
    const pending = answered(`&after=${next}&wait=25`);
    while (running.feed.subscribers() === 0) await new Promise(setImmediate);
    running.feed.spin(A, 1);
    const last = running.feed.spin(A, 2);
    const answer = await pending;
    expect(typesOf(answer)).toEqual(['subscribed', 'new_number', 'new_number']);
    expect(answer.next).toBe(`e1.${last}`);
  });

  it('answers with the latest sync alone when the wait is over', async () => {
    const { next } = await answered('');
    const pending = answered(`&after=${next}&wait=1`);
    while (running.feed.subscribers() === 0) await new Promise(setImmediate);
    running.feed.sync();
    const last = running.feed.sync();
    const answer = await pending;
    expect(typesOf(answer)).toEqual(['subscribed', 'sync']);
    expect(answer.next).toBe(`e1.${last}`);
  });

  it('does not wait when it is told not to', async () => {
    const { next } = await answered('');
    expect(typesOf(await answered(`&after=${next}&wait=0`))).toEqual(['subscribed']);
  });

  it('says 503 and when to come back if it must end before the acknowledgement', async () => {
    running.feed.hold();
    const pending = ask('');
    while (running.feed.subscribers() === 0) await new Promise(setImmediate);
    running.feed.giveUp();
    const answer = await pending;
    expect(answer.status).toBe(503);
    expect(answer.headers.get('retry-after')).toBe('1');
    expect(await answer.json()).toMatchObject({ code: 'draining', retry_ms: 700 });
  });

  it('names a wait that is no number', async () => {
    const answer = await ask('&wait=soon');
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ code: 'invalid', problems: [{ path: 'wait' }] });
  });

  it('leaves nothing running when the client goes away', async () => {
    const { next } = await answered('');
    const abort = new AbortController();
    const pending = fetch(`http://${running.url}/poll?topics=roulette:${A}&after=${next}`, { signal: abort.signal });
    while (running.feed.subscribers() === 0) await new Promise(setImmediate);
    abort.abort();
    await expect(pending).rejects.toThrow();
    while (running.feed.subscribers() > 0) await new Promise(setImmediate);
    expect(running.gateway.counters().open.poll).toBe(0);
  });

  it('takes names whose commas are escaped', async () => {
    const answer = await fetch(`http://${running.url}/poll?topics=roulette:A%2CB,roulette:${A}`);
    expect(answer.status).toBe(404);
    const both = await fetch(`http://${running.url}/poll?topics=roulette:${A}&topics=roulette:2010097&wait=0`);
    expect(typesOf(await answerOf(both))).toEqual(['snapshot', 'snapshot', 'subscribed']);
  });
});
