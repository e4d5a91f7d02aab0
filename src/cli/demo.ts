import { setTimeout as sleep } from 'node:timers/promises';
import { whenNpmEnds } from '../config/load.ts';
import { exitCodeOf, startProgram } from './programs.ts';

export const DEMO_USAGE = `runcash-live demo [OPTIONS]

The service and a croupier that posts numbers to it, until Ctrl+C. The options are those of runcash-live simulate.`;

/** The service and a croupier that posts to it, until Ctrl+C. `args` are the simulator's. Returns the exit code. */
export async function runDemo(url: string, args: readonly string[]): Promise<number> {
  const live = startProgram('main.js', []);
  const ended = exitCodeOf(live);
  const stopping = new AbortController();
  ended.then(
    () => stopping.abort(),
    () => stopping.abort(),
  );
  const stop = (): void => {
    stopping.abort();
    live.kill('SIGTERM');
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
  whenNpmEnds(stop);
  if (await becomesReady(url, stopping.signal)) {
    const croupier = startProgram('simulator/main.js', ['--url', url, ...args]);
    const done = exitCodeOf(croupier);
    stopping.signal.addEventListener('abort', () => croupier.kill('SIGTERM'), { once: true });
    await done;
    if (!stopping.signal.aborted) stop();
  }
  return await ended;
}

async function becomesReady(url: string, signal: AbortSignal): Promise<boolean> {
  while (!signal.aborted) {
    try {
      const { ok } = await fetch(new URL('/readyz', url), {
        signal: AbortSignal.timeout(2000),
      });
      if (ok) return true;
    } catch {
      // Not listening yet: the reason for asking again.
    }
    await sleep(200);
  }
  return false;
}
