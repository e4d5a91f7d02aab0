import { runConformanceTests } from '@durable-streams/server-conformance-tests';
import { afterAll, beforeAll, beforeEach, describe, expect, type TestContext } from 'vitest';
import { EXCEPTIONS } from './durable-exceptions.ts';
import { startWritableLog, type WritableLog } from './durable-front.ts';

/** What the list of exceptions may call a test: each group around it, and its own name after the innermost. */
function namesOf({ task }: TestContext): string[] {
  const groups: string[] = [];
  for (let suite = task.suite; suite !== undefined; suite = suite.suite) groups.push(suite.name);
  return [...groups, `${groups[0] ?? ''} > ${task.name}`];
}

describe('the log of a topic, by the conformance tests of Durable Streams', () => {
  const config = { baseUrl: '', longPollTimeoutMs: 3_000, subscriptions: true };
  const excepted = new Set<string>();
  let run = 0;
  let log: WritableLog;
  beforeAll(async () => {
    log = await startWritableLog();
    config.baseUrl = log.url;
  });
  afterAll(async () => {
    await log.stop();
    // An exception that fits no test, and one that fits nearly all, would both be mistakes.
    expect([...EXCEPTIONS.keys()].filter((name) => !excepted.has(name))).toEqual([]);
    expect(run).toBeGreaterThan(110);
  });
  beforeEach((context) => {
    const name = namesOf(context).find((one) => EXCEPTIONS.has(one));
    if (name === undefined) {
      run += 1;
      return;
    }
    excepted.add(name);
    context.skip(EXCEPTIONS.get(name) ?? '');
  });
  runConformanceTests(config);
});
