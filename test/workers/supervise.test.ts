import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { startWorkers, type Workers } from '../../src/workers/supervise.ts';
import { type Lines, lineLog } from '../support/line-log.ts';

const folder = mkdtempSync(join(tmpdir(), 'runcash-workers-'));
const TALKER = join(folder, 'talker.mjs');
/** Reports every few milliseconds, so that the parent has something to pass on to the others all the time. */
writeFileSync(
  TALKER,
  `process.on('disconnect', () => process.exit(0));
process.on('SIGTERM', () => process.exit(0));
const worker = Number(process.argv[3]);
const brief = { worker, pid: process.pid, ready: true, position: null, connections: 0 };
setInterval(() => process.send({ type: 'brief', brief }), 5);
`,
);

let workers: Workers | null = null;
afterEach(async () => await workers?.stop());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function start(count: number, script: string, { log }: Lines): Workers {
  workers = startWorkers({ count, script, environment: {}, hopelessCode: 78, log });
  return workers;
}

describe('the process that starts the workers', () => {
  it('outlives a worker that is killed while it is busy, and starts it again', async () => {
    const lines = lineLog();
    start(4, TALKER, lines);
    const pids: number[] = [];
    for (let at = 0; at < 4; at++) pids.push(Number((await lines.next('worker_started'))['workerPid']));
    const failures: unknown[] = [];
    const onFailure = (error: unknown): void => void failures.push(error);
    process.on('uncaughtException', onFailure);
    for (const pid of pids) {
      // The parent passes reports on; one of those it writes to is gone, and it has not heard of that yet.
      process.kill(pid, 'SIGKILL');
      const untilMs = performance.now() + 60;
      while (performance.now() < untilMs);
      expect(await lines.next('worker_died')).toMatchObject({ signal: 'SIGKILL' });
      expect(Number((await lines.next('worker_started'))['workerPid'])).not.toBe(pid);
    }
    process.off('uncaughtException', onFailure);
    expect(failures).toEqual([]);
  });

  it('outlives two that are killed at once, and starts both again', async () => {
    const lines = lineLog();
    start(4, TALKER, lines);
    const pids: number[] = [];
    for (let at = 0; at < 4; at++) pids.push(Number((await lines.next('worker_started'))['workerPid']));
    const killed = pids.slice(0, 2);
    for (const pid of killed) process.kill(pid, 'SIGKILL');
    const died = [await lines.next('worker_died'), await lines.next('worker_died')];
    expect(died.map(({ signal }) => signal)).toEqual(['SIGKILL', 'SIGKILL']);
    const again = [await lines.next('worker_started'), await lines.next('worker_started')];
    expect(again.map(({ workerPid }) => pids.includes(Number(workerPid)))).toEqual([false, false]);
    for (const pid of pids.slice(2)) expect(() => process.kill(pid, 0)).not.toThrow();
  });

  it('ends all, and starts none again, when one says at the start that it never can', async () => {
    const lines = lineLog();
    writeFileSync(
      join(folder, 'hopeless.mjs'),
      `if (process.argv[3] === '2') process.exit(78); process.on('disconnect', () => process.exit()); setInterval(() => 0, 9);`,
    );
    const { failed } = start(3, join(folder, 'hopeless.mjs'), lines);
    await expect(failed).rejects.toThrow('Worker 2 cannot start');
    for (let at = 0; at < 3; at++) {
      const { workerPid } = await lines.next('worker_started');
      expect(() => process.kill(Number(workerPid), 0)).toThrow('ESRCH');
    }
  });

  it('lets the others go on when one says so later', async () => {
    const lines = lineLog();
    const folded = `const again = process.argv[3] === '1';
const brief = { worker: Number(process.argv[3]), pid: process.pid, ready: true, position: null, connections: 0 };
setInterval(() => process.send({ type: 'brief', brief }), 9);
process.on('message', ({ briefs }) => { if (again && briefs?.length === 2) process.exit(78); });
process.on('disconnect', () => process.exit());`;
    writeFileSync(join(folder, 'later.mjs'), folded);
    start(2, join(folder, 'later.mjs'), lines);
    expect(await lines.next('worker_died')).toMatchObject({ worker: 1, code: 78, restartMs: 500 });
  });

  it('tries again, slower each time, when a worker cannot run', async () => {
    const lines = lineLog();
    start(1, join(folder, 'nothing.mjs'), lines);
    expect(await lines.next('worker_died')).toMatchObject({ code: 1, restartMs: 500 });
    expect(await lines.next('worker_died')).toMatchObject({ code: 1, restartMs: 1000 });
  });
});
