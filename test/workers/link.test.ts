import { expect, it } from 'vitest';
import { openWorkerLink } from '../../src/workers/link.ts';
import { lineLog } from '../support/line-log.ts';

it('a worker that cannot answer another one logs why, and goes on', async () => {
  const lines = lineLog();
  const brief = { worker: 1, pid: process.pid, ready: true, position: null, connections: 0 };
  const link = openWorkerLink(
    () => brief,
    () => Promise.reject(new Error('the metrics cannot be made')),
    lines.log,
  );
  process.emit('message', { type: 'question', id: 'q1', question: { about: 'metrics' } }, undefined);
  expect(await lines.next('worker_unanswered')).toMatchObject({ about: 'metrics', level: 'error' });
  link.stop();
});
