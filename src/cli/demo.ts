import { setTimeout as sleep } from 'node:timers/promises';
import { loadOwnConfig, whenNpmEnds } from '../config/load.ts';
import { exitCodeOf, startProgram } from './programs.ts';

/** Numbers that every table begins with. */
const PAST = 500;

export const DEMO_USAGE = `runcash-live demo [OPTIONS]

The service and a croupier that posts numbers to it, until Ctrl+C. Tables begin with ${PAST} numbers of the past. All of
it stands in a database of its own, MONGODB_DB_NAME with _demo behind it. The options are those of runcash-live
simulate.`;

/** The service and a croupier that posts to it, until Ctrl+C. `args` are the simulator's. Returns the exit code. */
export async function runDemo(url: string, args: readonly string[]): Promise<number> {
  const { MONGODB_DB_NAME: database, ROLETAS_MONGODB_DB_NAME: second } = loadOwnConfig().config;
  const live = startProgram('main.js', [], {
    // What is invented must never be taken for what was drawn.
    MONGODB_DB_NAME: demoOf(database),
    ...(second === null ? {} : { ROLETAS_MONGODB_DB_NAME: demoOf(second) }),
    // The past of all tables comes at once.
    INGEST_BURST: '100000',
  });
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
    const croupier = startProgram('simulator/main.js', ['--url', url, '--past', String(PAST), ...args]);
    const done = exitCodeOf(croupier);
    stopping.signal.addEventListener('abort', () => croupier.kill('SIGTERM'), { once: true });
    await done;
    if (!stopping.signal.aborted) stop();
  }
  return await ended;
}

const demoOf = (database: string): string => (database.endsWith('_demo') ? database : `${database}_demo`);

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
