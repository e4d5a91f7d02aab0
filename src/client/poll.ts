import type { Clock } from './clock.ts';
import { addressOf, brokenBy, fetchOf, headersOf, refusalOf } from './http.ts';
import { isFields, MalformedFrame } from './read.ts';
import type { AskAnswer, FetchLike, LinkClosed, LinkTarget, Query, Transport } from './transport.ts';

/** Seconds that a poll waits for something to happen. */
const WAIT_S = 25;

/** Milliseconds between two polls whose answer came empty although it should have waited. */
const EMPTY_PAUSE_MS = 1000;

/** The frames of a poll's answer: an array of them, alone or as `frames` beside the next position. */
function framesOf(body: unknown): readonly unknown[] {
  const frames = isFields(body) ? body['frames'] : body;
  if (!Array.isArray(frames)) throw new MalformedFrame('frames');
  return frames;
}

/** One request to `<base>/poll`. Rejects when the network or the signal ends it. */
export async function pollOnce(
  fetch: FetchLike,
  target: LinkTarget,
  query: Query,
  waitS: number,
  signal: AbortSignal,
): Promise<AskAnswer> {
  const response = await fetch(addressOf(target.base, '/poll', query, waitS), {
    headers: headersOf(target, 'application/json'),
    signal,
    cache: 'no-store',
  });
  if (!response.ok) return { refused: await refusalOf(response) };
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    // No server of ours answers a poll with anything else.
    return { refused: { code: response.status, reason: 'not JSON', foreign: true } };
  }
  return { frames: framesOf(body) };
}

/** Long-poll at `<base>/poll`: for networks that let neither WebSockets nor streams through. */
export function pollTransport(clock: Clock, given?: FetchLike): Transport {
  const fetch = fetchOf(given);
  return {
    name: 'poll',
    available: fetch !== null,
    open(target, sink) {
      const abort = new AbortController();
      let over = false;
      const end = (closed: LinkClosed): void => {
        if (over) return;
        over = true;
        sink.closed(closed);
      };

      let stopPause: (() => void) | null = null;
      const pause = (): Promise<void> =>
        new Promise((resolve) => {
          stopPause = clock.after(EMPTY_PAUSE_MS, resolve);
        });

      const run = async (): Promise<void> => {
        if (fetch === null) throw new TypeError('no fetch on this platform');
        for (let first = true; !over; first = false) {
          // The first answer comes at once: it is what tells that this way works.
          const asked = clock.now();
          const answer = await pollOnce(fetch, target, target.query(), first ? 0 : WAIT_S, abort.signal);
          if (over) return;
          if ('refused' in answer) return end(answer.refused);
          if (first) sink.opened();
          else sink.alive();
          for (const frame of answer.frames) if (!over) sink.frame(frame);
          if (!first && answer.frames.length === 0 && clock.now() - asked < EMPTY_PAUSE_MS) await pause();
        }
      };
      run().catch((error: unknown) => end(brokenBy(error)));

      return {
        send: null,
        close() {
          over = true;
          stopPause?.();
          abort.abort();
        },
      };
    },
    ask: fetch === null ? null : (target, query, signal) => pollOnce(fetch, target, query, 0, signal),
  };
}
