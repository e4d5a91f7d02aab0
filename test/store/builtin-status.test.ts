import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { BuiltinStatus } from '../../src/protocol/delivery.ts';
import { watchBuiltin } from '../../src/store/builtin-status.ts';
import { lineLog } from '../support/line-log.ts';

const FULL: BuiltinStatus = { heldBytes: 11, limitBytes: 10, oplogBytes: 1, diskFailure: null };
/** Longer than between two questions. */
const LATER_MS = 60_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function watch(answer: () => Promise<BuiltinStatus | null>) {
  const read = vi.fn(answer);
  return { read, ...watchBuiltin(read, lineLog().log) };
}

it('the status of the built-in MongoDB is known before anybody asks for it', async () => {
  const { status, stop } = watch(async () => FULL);
  await vi.advanceTimersByTimeAsync(0);
  expect(status()).toEqual(FULL);
  stop();
});

it('the built-in MongoDB is asked again when it did not answer', async () => {
  const answers = [Promise.reject(new Error('not yet')), Promise.resolve(FULL)];
  const { status, stop } = watch(() => answers.shift() ?? Promise.resolve(FULL));
  await vi.advanceTimersByTimeAsync(LATER_MS);
  expect(status()).toEqual(FULL);
  stop();
});

it('a MongoDB that has nothing to report is asked once', async () => {
  const { read, status, stop } = watch(async () => null);
  await vi.advanceTimersByTimeAsync(LATER_MS);
  expect(status()).toBeNull();
  expect(read).toHaveBeenCalledTimes(1);
  stop();
});

it('nothing is asked after the end, whether an answer is awaited then or not, and whoever reads the status', async () => {
  let answer = (_status: BuiltinStatus): void => undefined;
  const awaited = watch(
    () =>
      new Promise((resolve) => {
        answer = resolve;
      }),
  );
  const answered = watch(async () => FULL);
  const asked = () => [awaited, answered].map(({ read }) => read.mock.calls.length);
  expect(asked()).toEqual([1, 1]);
  await vi.advanceTimersByTimeAsync(0);
  for (const { stop } of [awaited, answered]) stop();
  answer(FULL);
  for (const { status } of [awaited, answered]) status();
  await vi.advanceTimersByTimeAsync(LATER_MS);
  expect(asked()).toEqual([1, 1]);
});
