import { readdirSync, readFileSync } from 'node:fs';

/**
 * Microseconds of CPU that a process has used in all its threads so far, from /proc (Linux): the scheduler's own
 * nanoseconds, since the 10 ms ticks of /proc/PID/stat are coarser than some measurements.
 */
export function cpuUs(pid: number): number {
  let total = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    total += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]);
  }
  return total / 1e3;
}

/** Resident kilobytes of a process. */
export function rssKb(pid: number): number {
  const found = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (found === undefined) throw new Error(`no VmRSS of process ${pid}`);
  return Number(found);
}

/** The processes that a process has started and that still run. */
export function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter((word) => word.trim() !== '')
    .map(Number);
}

/** CPU of several processes between `start` and the call that it returns, in microseconds. */
export function startCpu(pids: readonly number[]): () => number {
  const before = pids.map(cpuUs);
  return () => pids.reduce((sum, pid, index) => sum + cpuUs(pid) - (before[index] ?? 0), 0);
}
