import { parseArgs } from 'node:util';
import { startInstance } from '../chaos/instance.ts';

/** A feed as a process of its own, which tells what its start cost, and how long it kept its event loop. */

const TICK_MS = 5;

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
};

/**
 * Measures the longest turn of the event loop until it is stopped, in ms. No turn is longer than the CPU that this
 * process got meanwhile: what goes beyond was waited for a busy machine.
 */
function watchTurns(): () => number {
  let lastMs = performance.now();
  let lastCpuMs = cpuMs();
  let longestMs = 0;
  const timer = setInterval(() => {
    const now = performance.now();
    const cpu = cpuMs();
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
const began = cpuMs();
const instance = startInstance(values.uri ?? '', values.database ?? '', {
  recoveryWindowSeconds: Number(values.window ?? 600),
  ringBytes: 1e9,
  liveMaxAgeMs: 1e9,
  timings: { rewindBudgetMs: 60_000 },
});
await instance.feed.ready;
const spentMs = cpuMs() - began;
const { tables, ring } = instance.feed.status();
process.send?.({ cpuMs: spentMs, longestTurnMs: longestTurn(), tables, events: ring.events });
await instance.stop();
process.disconnect();
