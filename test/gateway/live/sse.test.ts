import { connect, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { type Message, parseMessage } from '../../support/inbox.ts';
import { eventSplitter } from '../../support/subscribers.ts';

const A = '2010165';

const dataOf = (event: ReadonlyMap<string, string>): Message => parseMessage(event.get('data') ?? '{}');

describe('an event stream', () => {
  let running: TestGateway;
  let sockets: Socket[];

  /** Reads a stream over a raw socket: what the browser's parser would see, ids and all. */
  async function read(
    path: string,
    headers = '',
  ): Promise<{
    head: Promise<string>;
    next(type: string): Promise<ReadonlyMap<string, string>>;
    events: ReadonlyMap<string, string>[];
  }> {
    const socket = connect(running.port, '127.0.0.1');
    sockets.push(socket);
    const events: ReadonlyMap<string, string>[] = [];
    let wake = (): void => {};
    let taken = 0;
    const split = eventSplitter((fields) => {
      events.push(fields);
      wake();
    });
    let pending = '';
    let headDone: (head: string) => void;
    const head = new Promise<string>((resolve) => {
      headDone = resolve;
    });
    let body = false;
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      pending += chunk;
      const end = pending.indexOf('\r\n\r\n');
      if (!body && end >= 0) {
        body = true;
        headDone(pending.slice(0, end));
        pending = pending.slice(end + 4);
      }
      // Chunk sizes of the transfer coding stand between CRLFs, which no event contains.
      if (body) {
        split(pending.replaceAll(/\r\n[0-9a-f]+\r\n|^[0-9a-f]+\r\n|\r\n/g, ''));
        pending = '';
      }
    });
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`);
    return {
      head,
      events,
      async next(type) {
        for (;;) {
          for (let event = events[taken]; event !== undefined; event = events[taken]) {
            taken += 1;
            if (event.get('event') === type) return event;
          }
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      },
    };
  }

  beforeEach(async () => {
    sockets = [];
    running = await startTestGateway({ minRetryMs: 1000, maxRetryMs: 9000 });
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await running.gateway.stop();
  });

  it('is not cached, not buffered by proxies, and names a reconnect delay of its own', async () => {
    const streams = await Promise.all(Array.from({ length: 8 }, () => read(`/events?topics=roulette:${A}`)));
    const retries = await Promise.all(
      streams.map(async ({ head, next, events }) => {
        expect(await head).toMatch(/^HTTP\/1.1 200 OK\r\n/);
        expect(await head).toMatch(/content-type: text\/event-stream/i);
        expect(await head).toMatch(/cache-control: no-store/i);
        expect(await head).toMatch(/x-accel-buffering: no/i);
        await next('hello');
        return Number(events[0]?.get('retry'));
      }),
    );
    for (const retry of retries) expect(retry).toBeGreaterThanOrEqual(1000);
    expect(Math.max(...retries)).toBeLessThanOrEqual(9000);
    expect(new Set(retries).size).toBeGreaterThan(1);
  });

  it('puts ids on events, sync and the acknowledgement, and on nothing else', async () => {
    const stream = await read(`/events?topics=roulette:${A}`);
    const ack = await stream.next('subscribed');
    const event = running.feed.spin(A, 3);
    const sync = running.feed.sync();
    await stream.next('sync');
    const ids = stream.events.map((fields) => [fields.get('event'), fields.get('id')]);
    const position = dataOf(ack)['position'];
    expect(ids.slice(1)).toEqual([
      ['hello', undefined],
      ['snapshot', undefined],
      ['subscribed', `e1.${String(position)}`],
      ['new_number', `e1.${event}`],
      ['sync', `e1.${sync}`],
    ]);
  });

  it('resumes from Last-Event-ID rather than from the address that a browser repeats', async () => {
    const old = running.feed.spin(A, 1);
    const newer = running.feed.spin(A, 2);
    running.feed.spin(A, 3);
    const stream = await read(`/events?topics=roulette:${A}&after=e1.${old}`, `Last-Event-ID: e1.${newer}\r\n`);
    const ack = await stream.next('subscribed');
    expect(dataOf(ack)['topics']).toEqual([{ topic: `roulette:${A}`, recovered: true, replayed: 1 }]);
  });

  it('ends ids in ~ from a reset until its snapshot', async () => {
    const stream = await read(`/events?topics=roulette:${A},roulette:2010097`);
    await stream.next('subscribed');
    running.feed.reset(A);
    expect((await stream.next('reset')).get('id')).toMatch(/~$/);
    running.feed.spin('2010097', 1);
    expect((await stream.next('new_number')).get('id')).toMatch(/~$/);
    running.feed.heal(A);
    expect((await stream.next('snapshot')).has('id')).toBe(false);
    const sync = running.feed.sync();
    expect((await stream.next('sync')).get('id')).toBe(`e1.${sync}`);
  });

  it('empties the id with a snapshot of another epoch', async () => {
    const at = running.feed.spin(A, 1);
    const stream = await read(`/events?topics=roulette:${A}`, `Last-Event-ID: e0.${at}\r\n`);
    expect((await stream.next('snapshot')).get('id')).toBe('');
    expect((await stream.next('subscribed')).get('id')).toBe(`e1.${at}`);
    running.feed.restore();
    expect((await stream.next('reset')).get('id')).toBe(`e1.${at}~`);
    expect((await stream.next('snapshot')).get('id')).toBe('');
    const sync = running.feed.sync();
    expect((await stream.next('sync')).get('id')).toBe(`e2.${sync}`);
  });

  it('carries a retry with its goodbye, for readers that know nothing else', async () => {
    const stream = await read(`/events?topics=roulette:${A}`);
    await stream.next('subscribed');
    running.feed.giveUp();
    const bye = await stream.next('bye');
    expect(bye.get('retry')).toBe('700');
    expect(dataOf(bye)).toEqual({
      type: 'bye',
      code: 4200,
      reason: 'draining or behind',
      retry_ms: 700,
    });
  });

  it('stays alive with comments while nothing happens', async () => {
    const stream = await read(`/events?topics=roulette:${A}`);
    await stream.next('subscribed');
    const heard = stream.events.length;
    running.passSeconds(26);
    await expect.poll(() => stream.events.length).toBe(heard + 1);
    expect(stream.events.at(-1)?.get('event')).toBeUndefined();
  });

  it('answers an error as a status when nothing was sent yet', async () => {
    const answer = await fetch(`http://${running.url}/events?topics=roulette:Nowhere`);
    expect(answer.status).toBe(404);
    expect(answer.headers.get('content-type')).toBe('application/problem+json');
    expect(await answer.json()).toMatchObject({ code: 'unknown_topic', status: 404 });
    const without = await fetch(`http://${running.url}/events`);
    expect(without.status).toBe(400);
    expect(await without.json()).toMatchObject({ code: 'invalid', problems: [{ path: 'topics' }] });
  });
});
