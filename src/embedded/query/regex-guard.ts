import vm from 'node:vm';
import { location } from '../errors.ts';
import { spend } from '../values/effort.ts';

/** Processor time that one match has had for certain when it is given up, and at most, in milliseconds. */
const LEAST_MS = 12;
const MOST_MS = 24;
/** What a watchdog costs, in steps. */
const STEPS = 64;

const script = new vm.Script('run()');
const place: { run?: () => void } = vm.createContext({});

/**
 * Runs a match and gives up when it takes too long: V8 can be interrupted while it backtracks, but only from outside,
 * by the watchdog that `node:vm` has. It counts time on the wall; on a busy machine that says little, so a run that
 * got little of the processor is run again, as often as that happens. `run` must not change anything that outlives it.
 *
 * @throws CommandError 51156 when the limit was met
 */
export function guardedRun<T>(run: () => T): T {
  spend(STEPS);
  const before = process.cpuUsage();
  let usedMs = 0;
  while (usedMs < LEAST_MS) {
    const results: T[] = [];
    place.run = () => {
      results.push(run());
    };
    try {
      script.runInContext(place, { timeout: Math.ceil(MOST_MS - usedMs) });
    } catch (error) {
      if (!isTimeout(error)) throw error;
      const { user, system } = process.cpuUsage(before);
      usedMs = (user + system) / 1000;
    }
    for (const result of results) return result;
  }
  throw location(51156, 'Error occurred while executing the regular expression. Result code: -8 (match limit)');
}

/** The same for `RegExp.exec`, which begins anew from the same place. */
export function guardedExec(expression: RegExp, text: string): RegExpExecArray | null {
  const start = expression.lastIndex;
  return guardedRun(() => {
    expression.lastIndex = start;
    return expression.exec(text);
  });
}

function isTimeout(error: unknown): boolean {
  // Not an `Error` of this realm: it is made in the context that the script runs in.
  return (
    typeof error === 'object' && error !== null && 'code' in error && error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
  );
}
