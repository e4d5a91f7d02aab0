import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { startRig } from '../support/faults.ts';
import { startTestFeed } from '../support/feed.ts';

/** Codes after which the stream can be opened again where it stood. */
const RESUMABLE = [6, 7, 43, 50, 89, 91, 175, 189, 216, 234, 237, 262, 10107, 11600, 11601, 11602, 13435, 13436];

const FREQUENT = { timeout: 10_000, interval: 10 };

describe('errors of the stream', () => {
  it('1: every resumable code in getMore passes without a loss or a duplicate', async () => {
    const rig = await startRig();
    for (const errorCode of RESUMABLE) {
      await rig.failOnce({ failCommands: ['getMore'], errorCode });
      await rig.writer.round();
    }
    await rig.verify();
    expect(rig.reopens()).toBeGreaterThanOrEqual(RESUMABLE.length);
    expect(rig.instances[0]?.feed.status().resets).toEqual({});
  });

  it('2: a killed cursor is opened again where it stood', async () => {
    const rig = await startRig();
    await rig.writer.rounds(2);
    await rig.command({ killAllSessions: [] });
    await rig.writer.rounds(5);
    await vi.waitUntil(() => rig.reopens() > 0, FREQUENT);
    await rig.verify();
    expect(rig.instances[0]?.feed.status().resets).toEqual({});
  });

  it('3: a connection closed inside getMore loses nothing', async () => {
    const rig = await startRig();
    for (let times = 0; times < 5; times++) {
      await rig.failOnce({ failCommands: ['getMore'], closeConnection: true });
      await rig.writer.rounds(3);
    }
    await rig.verify();
  });

  it('4: opening again that fails five times is tried a sixth time, with nobody reset', async () => {
    const rig = await startRig();
    await rig.failFeed({ times: 5 }, { failCommands: ['aggregate'], errorCode: 91 });
    await rig.command({ killAllSessions: [] });
    await rig.writer.rounds(5);
    await vi.waitUntil(() => rig.reopens() >= 6, FREQUENT);
    await rig.verify();
    expect(rig.instances[0]?.feed.status().resets).toEqual({});
  });

  it('5: a code that nobody has seen is taken as transient, and counted', async () => {
    const rig = await startRig();
    for (let times = 0; times < 3; times++) {
      await rig.failOnce({ failCommands: ['getMore'], errorCode: 99999 });
      await rig.writer.round();
    }
    await rig.verify();
    expect(Object.keys(rig.instances[0]?.feed.status().reopens ?? {}).join()).toMatch(/99999/);
  });

  it.each([
    [13, 'the user lacks a privilege'],
    [18, 'refused the user or password'],
    [148, 'enableMajorityReadConcern off'],
    [8000, 'Atlas refused'],
  ])(
    '12: %i: what an operator must mend is said in words, and it goes on when that is done',
    async (errorCode, words) => {
      const rig = await startRig();
      await rig.failFeed('alwaysOn', { failCommands: ['aggregate', 'getMore'], errorCode });
      const reason = (): string | null => rig.instances[0]?.feed.status().reason ?? null;
      await vi.waitUntil(() => reason()?.includes(words), FREQUENT);
      await rig.failFeed('off', {});
      await rig.writer.round();
      await rig.verify();
      expect(rig.instances[0]?.feed.status()).toMatchObject({ phase: 'live', resets: {} });
    },
  );

  it('was named as MongoDB that takes no writes: what refuses the read at rest is said in its own words', async () => {
    const rig = await startRig({ instances: 0, follow: false });
    await rig.writer.rounds(3);
    await rig.failFeed('alwaysOn', { failCommands: ['find'], errorCode: 13 });
    const feed = startTestFeed(rig.uri, rig.database, {
      timings: { configurationRetryMs: 20, backoffBaseMs: 1, backoffCapMs: 2 },
    });
    onTestFinished(() => feed.stop());
    const tries = (): number => feed.feed.status().reopens['Unauthorized'] ?? 0;
    await vi.waitUntil(() => tries() > 8, FREQUENT);
    expect(feed.feed.status().reason).toContain('the user lacks a privilege');
    await rig.failFeed('off', {});
    await feed.feed.ready;
    // However often it failed there, the past is read as far back as ever.
    expect(feed.feed.status()).toMatchObject({ fresh: {}, ring: { events: rig.writer.acknowledged.size } });
  });

  it('6: MaxTimeMSExpired in getMore loses nothing', async () => {
    const rig = await startRig();
    await rig.command({
      configureFailPoint: 'failGetMoreAfterCursorCheckout',
      mode: { times: 3 },
      data: { errorCode: 50 },
    });
    await rig.writer.rounds(6);
    await vi.waitUntil(() => rig.reopens() >= 3, FREQUENT);
    await rig.verify();
  });

  it('7: a step-down and an election lose nothing that was acknowledged', async () => {
    const rig = await startRig({ instances: 2 });
    const load = rig.writer.start();
    await rig.command({ replSetStepDown: 1, secondaryCatchUpPeriodSecs: 1, force: true });
    const before = rig.writer.acknowledged.size;
    await vi.waitUntil(() => rig.writer.acknowledged.size > before + 9, { timeout: 20_000, interval: 20 });
    await load.stop();
    await rig.verify();
  });

  it('18: 280 is got over once, and when it stays the stream is bounded in what it costs, and heals', async () => {
    const rig = await startRig();
    await rig.failOnce({ failCommands: ['getMore'], errorCode: 280 });
    await rig.writer.rounds(2);
    await rig.verify();
    expect(rig.instances[0]?.feed.status().resets).toEqual({});

    await rig.failFeed('alwaysOn', { failCommands: ['getMore'], errorCode: 280 });
    await vi.waitUntil(() => (rig.instances[0]?.feed.status().resets['history_lost'] ?? 0) > 0, FREQUENT);
    const before = rig.reopens();
    const began = performance.now();
    await vi.waitUntil(() => rig.reopens() >= before + 4, { timeout: 20_000, interval: 20 });
    // Tries follow each other at the pace of the backoff (0 to 500 ms here), not as fast as the server answers.
    expect((performance.now() - began) / 4).toBeGreaterThan(20);
    await rig.writer.rounds(3);
    await rig.failFeed('off', {});
    await rig.verify();
  });

  it('42: a thousand forced re-opens leave heap, listeners and sockets where they were', async () => {
    const rig = await startRig({ follow: false, feed: { timings: { backoffBaseMs: 1, backoffCapMs: 2 } } });
    const sockets = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap' || name === 'TCPWRAP').length;
    const force = async (times: number): Promise<void> => {
      const before = rig.reopens();
      await rig.failFeed({ times }, { failCommands: ['getMore'], errorCode: 6 });
      await vi.waitUntil(() => rig.reopens() >= before + times, { timeout: 80_000, interval: 10 });
    };
    const heap = (): number => {
      globalThis.gc?.();
      return process.memoryUsage().heapUsed;
    };
    await force(100);
    const before = { heap: heap(), sockets: sockets(), timers: timers() };
    await force(1000);
    // The drivers' pools breathe by a few connections: what leaks at a re-open would be here by the hundred.
    expect(sockets()).toBeLessThan(before.sockets + 10);
    expect(timers()).toBeLessThan(before.timers + 10);
    // Only where the collector can be called is the heap comparable.
    if (globalThis.gc !== undefined) expect(heap()).toBeLessThan(before.heap + 8e6);
    await rig.follow();
    await rig.writer.rounds(3);
    await rig.verify();
  }, 120_000);

  it('45: errors during the boot rewind delay it and change nothing', async () => {
    const rig = await startRig({ instances: 0, follow: false });
    await rig.writer.rounds(5);
    await rig.failFeed({ times: 4 }, { failCommands: ['getMore'], errorCode: 11602 });
    await rig.instance();
    await rig.failFeed({ times: 2 }, { failCommands: ['find'], errorCode: 91 });
    await rig.instance();
    expect(rig.reopens()).toBeGreaterThanOrEqual(5);
    await rig.follow();
    await rig.writer.rounds(3);
    await rig.verify();
  });
});

const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
