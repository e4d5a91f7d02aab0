import { Agent, get, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { encodeIntoCompressedBase64 } from 'hdr-histogram-js';
import { z } from 'zod';
import { createHistogram, record } from '../harness/histogram.ts';

/** A process of readers that follow the log of a topic by long-polling, each from where it is, through every error. */

const order = z.discriminatedUnion('type', [
  z.object({ type: z.literal('start'), port: z.number(), topic: z.string(), offset: z.string(), count: z.number() }),
  /** Latencies are recorded from now on, or no more. */
  z.object({ type: z.literal('measure'), on: z.boolean() }),
  z.object({ type: z.literal('tell') }),
]);
export type PollOrder = z.infer<typeof order>;

export const pollReport = z.object({
  /** Requests under way. */
  waiting: z.number(),
  /** Different events that the last of the readers, and all of them together, have. */
  least: z.number(),
  events: z.number(),
  repeated: z.number(),
  /** From the time in a number to its arrival. */
  histogram: z.string(),
});
export type PollReport = z.infer<typeof pollReport>;

const events = z.array(z.looseObject({ id: z.string(), timestamp: z.string() }));
const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
const histogram = createHistogram();
const readers: Set<string>[] = [];
let isMeasuring = false;
let waiting = 0;
let repeated = 0;

/** The answer with its body. Rejects when the connection ends without it. */
const fetchOne = (port: number, path: string) =>
  new Promise<{ readonly answer: IncomingMessage; readonly body: string }>((resolve, reject) => {
    const request = get({ host: '127.0.0.1', port, path, agent }, (answer) => {
      const pieces: string[] = [];
      answer.setEncoding('utf8').on('data', (piece) => pieces.push(String(piece)));
      answer.once('end', () => resolve({ answer, body: pieces.join('') })).once('error', reject);
    });
    request.once('error', reject);
  });

function take(ids: Set<string>, body: string): void {
  const nowMs = Date.now();
  for (const { id, timestamp } of events.parse(JSON.parse(body))) {
    if (ids.has(id)) repeated++;
    ids.add(id);
    if (isMeasuring) record(histogram, (nowMs - Date.parse(timestamp)) * 1000);
  }
}

async function follow(port: number, topic: string, from: string): Promise<never> {
  const ids = new Set<string>();
  readers.push(ids);
  for (let offset = from, cursor = ''; ; ) {
    const query = new URLSearchParams({ offset, live: 'long-poll', ...(cursor === '' ? {} : { cursor }) });
    waiting++;
    try {
      const { answer, body } = await fetchOne(port, `/api/v1/log/${topic}?${query}`);
      if (answer.statusCode !== 200 && answer.statusCode !== 204) throw new Error(`answered ${answer.statusCode}`);
      if (answer.statusCode === 200) take(ids, body);
      offset = String(answer.headers['stream-next-offset'] ?? offset);
      cursor = String(answer.headers['stream-cursor'] ?? '');
      waiting--;
    } catch {
      waiting--;
      // Killed, cut or not back yet: each comes back a little later, at its own time.
      await delay(100 + Math.random() * 900);
    }
  }
}

process.on('message', (message) => {
  const wanted = order.parse(message);
  switch (wanted.type) {
    case 'start':
      for (let at = 0; at < wanted.count; at++) void follow(wanted.port, wanted.topic, wanted.offset);
      return;
    case 'measure':
      isMeasuring = wanted.on;
      return;
    case 'tell': {
      const sizes = readers.map(({ size }) => size);
      const report: PollReport = {
        waiting,
        least: Math.min(...sizes),
        events: sizes.reduce((sum, size) => sum + size, 0),
        repeated,
        histogram: encodeIntoCompressedBase64(histogram),
      };
      process.send?.(report);
      return;
    }
    default:
      wanted satisfies never;
  }
});
process.once('disconnect', () => process.exit(0));
