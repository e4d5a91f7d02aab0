import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Stage, startStage } from '../docs/stage.ts';
import { createInbox, parseMessage } from '../support/inbox.ts';
import { eventSplitter, subscribe } from '../support/subscribers.ts';

const TABLE = '2010165';

let stage: Stage;
beforeAll(async () => {
  stage = await startStage();
});
afterAll(() => stage.stop());

/** An event stream as a polyfill opens it, with what it says in the query of where it was. */
async function opened(query: Readonly<Record<string, string>>) {
  const inbox = createInbox();
  const abort = new AbortController();
  const address = `${stage.url}/events?${new URLSearchParams({ topics: `roulette:${TABLE}`, ...query })}`;
  const response = await fetch(address, { signal: abort.signal });
  const split = eventSplitter((fields) => inbox.push(parseMessage(fields.get('data') ?? '{}')));
  const decoder = new TextDecoder();
  const read = async () => {
    for await (const chunk of response.body ?? []) split(decoder.decode(chunk, { stream: true }));
  };
  read().catch(() => inbox.end('it was left'));
  return Object.assign(inbox, { leave: () => abort.abort() });
}

describe.each(['lastEventId', 'lastEventID'])('an event stream that is resumed by %s in its query', (name) => {
  it('brings what came during the break, once and in order, whatever its address repeats', async () => {
    const before = await subscribe('sse', new URL(stage.url).host, { topics: [`roulette:${TABLE}`] });
    await before.next('subscribed');
    const first = before.stand() ?? '';
    await stage.post('/api/v1/numbers', { roleta_id: TABLE, numero: 1 });
    await before.next('new_number');
    const last = before.stand() ?? '';
    before.stop();
    for (const numero of [2, 3]) await stage.post('/api/v1/numbers', { roleta_id: TABLE, numero });
    const after = await opened({ after: first, [name]: last });
    const ack = await after.next('subscribed');
    expect(ack).toMatchObject({ topics: [{ recovered: true, replayed: 2 }] });
    const numbers = after.all.filter(({ type }) => type === 'new_number').map(({ numero }) => numero);
    expect(numbers).toEqual([2, 3]);
    after.leave();
  });
});
