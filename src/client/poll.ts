import type { Clock } from './clock.ts';
import { brokenBy, pollOnce } from './http.ts';
import type { Channel } from './one-way.ts';

/** Seconds that a poll waits for something to happen. */
const WAIT_S = 25;

/** Milliseconds between two polls whose answer came empty although it should have waited. */
const EMPTY_PAUSE_MS = 1000;

/** Long-poll at `<base>/poll`: for networks that let neither WebSockets nor streams through. */
export const pollChannel =
  (clock: Clock): Channel =>
  (fetch, target, request, sink) => {
    // For each poll another: what `fetch` adds to a signal that outlives it stays until garbage is collected.
    let abort = new AbortController();
    let over = false;
    let stopPause = (): void => undefined;
    const pause = (): Promise<void> =>
      new Promise((resolve) => {
        stopPause = clock.after(EMPTY_PAUSE_MS, resolve);
      });

    const run = async (): Promise<void> => {
      for (let first = true; !over; first = false) {
        abort = new AbortController();
        // The first answer comes at once: it is what tells that this way works.
        const asked = clock.now();
        const answer = await pollOnce(fetch, target, request(), first ? 0 : WAIT_S, abort.signal);
        if (over) return;
        if ('refused' in answer) return sink.closed(answer.refused);
        sink.alive();
        for (const frame of answer.frames) if (!over) sink.frame(frame);
        if (!first && answer.frames.length === 0 && clock.now() - asked < EMPTY_PAUSE_MS) await pause();
      }
    };
    run().catch((error: unknown) => {
      if (!over) sink.closed(brokenBy(error));
    });

    return () => {
      over = true;
      stopPause();
      abort.abort();
    };
  };
