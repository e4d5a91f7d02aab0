import { afterEach, describe, expect, it } from 'vitest';
import { createSignals } from '../../../src/app/data.ts';
import { createRing, readLog } from '../../../src/feed/ring.ts';
import { OPEN_GRANT } from '../../../src/gateway/door/access.ts';
import type { Authenticator } from '../../../src/gateway/door/jwt.ts';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import { topicOf } from '../../../src/protocol/messages.ts';
import { ORIGIN, positionOf } from '../../../src/protocol/position.ts';
import { granting, type HttpApp, startHttpApp } from '../../support/http-app.ts';
import { tableId } from '../../support/http-deps.ts';

const TABLE = tableId('2010017');
const OTHER = tableId('2010097');
const EPOCH = 'e1-test';
const at = (n: number) => positionOf({ t: 1, i: n }, 0);

const started: HttpApp[] = [];
afterEach(() => {
  for (const app of started.splice(0)) app.stop();
});

/** The routes over a log whose floor is at `floor`, with an event at each of `events`. */
async function start(events: readonly number[], floor = ORIGIN, authenticator: Authenticator | null = null) {
  const ring = createRing(floor, { seconds: 3600, bytes: 2 ** 30 });
  const signals = createSignals();
  const push = (n: number, table = TABLE): void => {
    const position = at(n);
    const text = JSON.stringify({ n, table });
    const frame = { type: 'new_number', text, topic: topicOf(table), position, epoch: null } as const;
    ring.push({ table, position, frame });
    signals.publish(frame.topic, frame);
  };
  for (const n of events) push(n);
  const app = await startHttpApp(
    { logWaitMs: 50, readsPerSecondPerAddress: 0 },
    {
      readLog: (tables, after) => readLog({ epoch: EPOCH, ring, logFloor: () => floor }, tables, after),
      changed: signals.changed,
    },
    authenticator,
  );
  started.push(app);
  const get = async (query: string, topic = `roulette:${TABLE}`) => {
    const response = await fetch(`${app.url}/api/v1/log/${topic}${query}`);
    const text = await response.text();
    const { headers, status } = response;
    return { status, headers, text, cache: headers.get('cache-control'), next: headers.get('stream-next-offset') };
  };
  return { app, get, push };
}

const numbers = (from: number, count: number): number[] => Array.from({ length: count }, (_, n) => from + n);

describe('the log of a topic', () => {
  it('has full portions that never change, whoever asks and when', async () => {
    const { get, push } = await start(numbers(1, 501));
    const first = await get(`?offset=${EPOCH}.${ORIGIN}`);
    expect(first.cache).toBe('public, max-age=31536000, immutable');
    expect(first.headers.get('stream-up-to-date')).toBeNull();
    expect(JSON.parse(first.text)).toHaveLength(500);
    push(502);
    const again = await get(`?offset=${EPOCH}.${ORIGIN}`);
    expect(again.text).toBe(first.text);
    expect(again.headers.get('etag')).toBe(first.headers.get('etag'));
    const rest = await get(`?offset=${first.next}`);
    expect([rest.cache, rest.headers.get('stream-up-to-date')]).toEqual(['public, max-age=1', 'true']);
    expect(JSON.parse(rest.text)).toMatchObject([{ n: 501 }, { n: 502 }]);
  });

  it('parts no events of one change, which share a position', async () => {
    const { get } = await start([...numbers(1, 499), 500, 500, 501]);
    const first = await get(`?offset=${EPOCH}.${ORIGIN}`);
    expect(JSON.parse(first.text)).toHaveLength(501);
    expect(JSON.parse((await get(`?offset=${first.next}`)).text)).toMatchObject([{ n: 501 }]);
  });

  it('is gone below its floor and in another epoch, also for those who wait', async () => {
    const { get } = await start([11, 12], at(10));
    for (const offset of [`${EPOCH}.${at(9)}`, `e0-other.${at(11)}`]) {
      for (const live of ['', '&live=long-poll', '&live=sse']) {
        const { status, text, cache } = await get(`?offset=${offset}${live}`);
        expect([status, JSON.parse(text).code, cache]).toEqual([410, 'gone', 'no-store']);
      }
    }
    expect(JSON.parse((await get(`?offset=${EPOCH}.${at(10)}`)).text)).toMatchObject([{ n: 11 }, { n: 12 }]);
  });

  it('waits for a reader who is ahead of this instance, and never turns it back', async () => {
    const { get } = await start([11]);
    const ahead = `${EPOCH}.${at(20)}`;
    expect(await get(`?offset=${ahead}`)).toMatchObject({ status: 200, text: '[]', next: ahead });
    expect(await get(`?offset=${ahead}&live=long-poll`)).toMatchObject({ status: 204, next: ahead });
  });

  it('holds all tables under roulette:*, and no table that is not known', async () => {
    const { get, push } = await start([1]);
    push(2, OTHER);
    expect(JSON.parse((await get('', 'roulette:*')).text)).toMatchObject([{ n: 1 }, { n: 2, table: OTHER }]);
    expect((await get('', 'roulette:2999999')).status).toBe(404);
    expect((await get('', 'roulette:VIP%20Roulette')).status).toBe(400);
    expect((await get('?live=websocket&offset=-1')).status).toBe(400);
  });

  it('is private where a token says which tables may be seen, and shows these alone', async () => {
    const { get, push } = await start([1], ORIGIN, granting({ ...OPEN_GRANT, allowed: new Set([OTHER]) }));
    push(2, OTHER);
    const all = await get('?token=x', 'roulette:*');
    expect([all.text, all.cache]).toEqual([JSON.stringify([{ n: 2, table: OTHER }]), 'private, no-store']);
    expect((await get('?token=x')).status).toBe(404);
    expect((await get('', 'roulette:*')).status).toBe(401);
  });

  it('ends as a stream before the next event when its token is revoked or expires, and verifies it once', async () => {
    let isRevoked = false;
    let verified = 0;
    const { app, push } = await start([1], ORIGIN, {
      async authenticate() {
        verified += 1;
        return OPEN_GRANT;
      },
      recheck() {
        if (isRevoked) throw new ProtocolError('unauthorized');
      },
    });
    const response = await fetch(`${app.url}/api/v1/log/roulette:${TABLE}?offset=-1&live=sse&token=x`);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    expect((await reader?.read())?.value).toContain('"n":1');
    push(2);
    expect((await reader?.read())?.value).toContain('"n":2');
    isRevoked = true;
    push(3);
    await expect(reader?.read()).rejects.toThrow();
    expect(verified).toBe(1);
    expect(app.deps.lines).toEqual([]);
  });

  it('moves on past events that a token may not see, so that nobody looks at them twice', async () => {
    const grant = { ...OPEN_GRANT, allowed: new Set([OTHER, '2380117']) };
    const { get, push } = await start(numbers(1, 600), ORIGIN, granting(grant));
    const first = await get('?token=x', 'roulette:*');
    expect(first).toMatchObject({ text: '[]', next: `${EPOCH}.${at(600)}` });
    push(601);
    const waited = await get(`?token=x&live=long-poll&offset=${first.next}`, 'roulette:*');
    expect(waited).toMatchObject({ status: 204, next: `${EPOCH}.${at(601)}` });
  });
});
