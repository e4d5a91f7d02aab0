import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { z } from 'zod';
import { nowUs } from '../harness/clock.ts';
import { createHistogram, record } from '../harness/histogram.ts';
import { type NeighboursReport, neighboursOrder } from './orders.ts';

/**
 * A process of users that behave: subscribers that ping, a scraper that posts, a reader that asks for a table. Each does
 * so at its moments, whatever became of the one before, and what it waits counts from the moment that was meant.
 */

const CLIENTS = 100;
const PING_EVERY_MS = 250;
const ASK_EVERY_MS = 15;
const TABLE = '2010165';

const { port, token, key } = z
  .object({ port: z.number(), token: z.string(), key: z.string() })
  .parse(JSON.parse(process.argv[2] ?? ''));

/** What is measured of one kind of user. */
const seen = { frames: createHistogram(), posts: createHistogram(), reads: createHistogram() };
let failed = 0;
let measuring = false;

function note(kind: keyof typeof seen, meantUs: number, isGood: boolean): void {
  if (!measuring) return;
  if (isGood) record(seen[kind], nowUs() - meantUs);
  else failed += 1;
}

/** Calls at even moments with the moment that was meant. */
function evenly(everyMs: number, act: (meantUs: number) => void): void {
  let meantUs = nowUs() + Math.random() * everyMs * 1e3;
  const next = (): void => {
    act(meantUs);
    meantUs += everyMs * 1e3;
    // Timers take whole milliseconds, and cut off what is left: never early.
    setTimeout(next, Math.max(0, Math.ceil((meantUs - nowUs()) / 1e3)));
  };
  setTimeout(next, everyMs);
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

function ask(kind: 'posts' | 'reads', method: string, path: string, headers: Record<string, string>, body: string) {
  evenly(ASK_EVERY_MS, (meantUs) => {
    const asked = request({ host: '127.0.0.1', port, method, path, headers, agent }, (answer) => {
      answer.resume().once('end', () => note(kind, meantUs, Math.floor((answer.statusCode ?? 0) / 100) === 2));
    });
    asked.once('error', () => note(kind, meantUs, false));
    asked.end(body);
  });
}

function subscribe(): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/ws?token=${token}`, { perMessageDeflate: false });
  const asked = new Map<string, number>();
  let pings = 0;
  return new Promise((resolve, reject) => {
    socket.once('open', () => socket.send(`{"type":"subscribe","id":0,"topics":["roulette:${TABLE}"]}`));
    socket.once('error', reject);
    socket.once('close', () => note('frames', 0, false));
    socket.on('message', (data) => {
      const text = String(data);
      if (text.startsWith('{"type":"subscribed"')) {
        evenly(PING_EVERY_MS, (meantUs) => {
          const id = String(++pings);
          asked.set(id, meantUs);
          socket.send(`{"type":"ping","id":${id}}`);
        });
        resolve();
      }
      if (!text.startsWith('{"type":"pong"')) return;
      const id = /"id":(\d+)/.exec(text)?.[1] ?? '';
      const meantUs = asked.get(id);
      asked.delete(id);
      if (meantUs !== undefined) note('frames', meantUs, true);
    });
  });
}

process.on('message', (message) => {
  const { ms } = neighboursOrder.parse(message);
  for (const histogram of Object.values(seen)) histogram.reset();
  failed = 0;
  measuring = true;
  setTimeout(() => {
    measuring = false;
    const figures = Object.fromEntries(
      Object.entries(seen).flatMap(([kind, histogram]) =>
        [50, 99].map((part) => [`${kind}_p${part}_ms`, histogram.getValueAtPercentile(part) / 1e3] as const),
      ),
    );
    process.send?.({ figures, failed } satisfies NeighboursReport);
  }, ms);
});
process.once('disconnect', () => process.exit(0));

await Promise.all(Array.from({ length: CLIENTS }, subscribe));
const post = JSON.stringify({ roleta_id: TABLE, numero: 7 });
ask('posts', 'POST', '/api/v1/numbers', { 'Content-Type': 'application/json', 'X-Api-Key': key }, post);
const path = `/api/v1/tables/${TABLE}`;
const headers = { Authorization: `Bearer ${token}` };
// The table is known as soon as the first post has come round.
while (!(await fetch(`http://127.0.0.1:${port}${path}`, { headers })).ok) await delay(50);
ask('reads', 'GET', path, headers, '');
console.log('behaving');
