import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { startInstance } from '../chaos/instance.ts';
import { startCpu } from '../harness/usage.ts';

/** A feed as a process of its own, which tells what its start cost, and how long it kept its event loop. */

const TICK_MS = 5;

/** CPU of the thread that runs the event loop, in ms: the scheduler's own nanoseconds. */
const threadMs = (): number =>
  Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[0]) / 1e6;

/**
 * Measures the longest turn of the event loop until it is stopped, in ms. No turn is longer than the CPU that its thread
 * got meanwhile: what goes beyond was waited for a busy machine.
 */
function watchTurns(): () => number {
  let lastMs = performance.now();
  let lastCpuMs = threadMs();
  let longestMs = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    const cpu = threadMs();
    longestMs = Math.max(longestMs, Math.min(now - lastMs - TICK_MS, cpu - lastCpuMs));
    lastMs = now;
    lastCpuMs = cpu;
  }, TICK_MS);
  return () => {
    clearInterval(timer);
    return longestMs;
  };
}

const { values } = parseArgs({
  options: { uri: { type: 'string' }, database: { type: 'string' }, window: { type: 'string' } },
});
const longestTurn = watchTurns();
const spentUs = startCpu([process.pid]);
const instance = startInstance(values.uri ?? '', values.database ?? '', {
  recoveryWindowSeconds: Number(values.window ?? 600),
  ringBytes: 1e9,
  liveMaxAgeMs: 1e9,
  timings: { rewindBudgetMs: 60_000 },
});
await instance.feed.ready;
const cpuMs = spentUs() / 1e3;
const { tables, ring } = instance.feed.status();
process.send?.({ cpuMs, longestTurnMs: longestTurn(), tables, events: ring.events });
await instance.stop();
process.disconnect();
