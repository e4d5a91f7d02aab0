import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { environmentWith, loadOwnConfig, whenNpmEnds } from '../config/load.ts';

const fileOf = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** Whether a program, named as `startProgram` takes it, was built. */
export const hasProgram = (path: string): boolean => existsSync(fileOf(path));

/**
 * Starts another program of this package, named from its built folder (`main.js`, `simulator/main.js`), on the same
 * terminal, but in a process group of its own: a Ctrl+C would otherwise reach it twice, once from the terminal and once
 * passed on, and a second signal means "at once". The channel is for its end alone: the program ends when it closes, that
 * is also when this process is killed. `settings` go before those of the environment.
 */
function startProgram(
  path: string,
  args: readonly string[],
  settings: Readonly<Record<string, string>> = {},
): ChildProcess {
  return spawn(process.execPath, [fileOf(path), ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    detached: true,
    env: environmentWith(settings),
  });
}

/** Waits for the end of a program. A signal counts as shells count it: 128 and its number. */
async function exitCodeOf(program: ChildProcess): Promise<number> {
  const [code, signal]: unknown[] = await once(program, 'exit');
  if (typeof code === 'number') return code;
  return signal === 'SIGINT' ? 130 : 143;
}

/** Runs a program to its end, and returns its exit code. A signal to this process asks the program to end. */
export async function runProgram(path: string, args: readonly string[]): Promise<number> {
  const program = startProgram(path, args);
  const pass = (): void => void program.kill('SIGTERM');
  process.on('SIGTERM', pass).on('SIGINT', pass);
  const forget = whenNpmEnds(pass);
  try {
    return await exitCodeOf(program);
  } finally {
    forget();
    process.off('SIGTERM', pass).off('SIGINT', pass);
  }
}

/** Numbers that every table begins with. */
const PAST = 500;

export const DEMO_USAGE = `runcash-live demo [OPTIONS]

The service and a croupier that posts numbers to it, until Ctrl+C. Tables begin with ${PAST} numbers of the past. All of
it is in a database of its own, MONGODB_DB_NAME with _demo behind it, and every document says "simulado". The options are those of runcash-live
simulate.`;

/** The service and a croupier that posts to it, until Ctrl+C. `args` are the simulator's. Returns the exit code. */
export async function runDemo(url: string, args: readonly string[]): Promise<number> {
  const { MONGODB_DB_NAME: database, ROLETAS_MONGODB_DB_NAME: second, EXTRA_FIELDS } = loadOwnConfig().config;
  const live = startProgram('main.js', [], {
    // What is invented must never be taken for what was drawn.
    MONGODB_DB_NAME: demoOf(database),
    ...(second === null ? {} : { ROLETAS_MONGODB_DB_NAME: demoOf(second) }),
    // The page says that it shows a demo.
    EXTRA_FIELDS: [...EXTRA_FIELDS, 'simulado'].join(),
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
    const code = await done;
    const isOver = stopping.signal.aborted;
    if (!isOver) stop();
    // A croupier that could not begin is why the demo ends.
    if (!isOver && code !== 0) return await ended.then(() => code);
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
