import { describe, expect, it } from 'vitest';
import { startRig } from '../support/faults.ts';

/** Codes after which the stream can be opened again where it stood. */
const RESUMABLE = [6, 7, 43, 50, 89, 91, 175, 189, 216, 234, 237, 262, 10107, 11600, 11601, 11602, 13435, 13436];

describe('errors of the stream', () => {
  it('1: every resumable code in getMore passes without a loss or a duplicate', async () => {
    const rig = await startRig();
    const [instance] = rig.instances;
    for (const errorCode of RESUMABLE) {
      await rig.failFeed({ times: 1 }, { failCommands: ['getMore'], errorCode });
      await rig.writer.rounds(3);
    }
    await rig.verify();
    const reopens = Object.values(instance?.feed.status().reopens ?? {}).reduce((sum, count) => sum + count, 0);
    expect(reopens).toBeGreaterThanOrEqual(RESUMABLE.length);
    expect(instance?.feed.status().resets).toEqual({});
  });

  it('2: a killed cursor is opened again where it stood', async () => {
    const rig = await startRig();
    await rig.writer.rounds(2);
    const { inprog } = await rig.command({ currentOp: 1, $all: true, idleCursors: true });
    void inprog;
    await rig.failFeed({ times: 1 }, { failCommands: ['getMore'], errorCode: 43 });
    await rig.writer.rounds(5);
    await rig.verify();
  });

  it('3: a connection closed inside getMore loses nothing', async () => {
    const rig = await startRig();
    for (let times = 0; times < 5; times++) {
      await rig.failFeed({ times: 1 }, { failCommands: ['getMore'], closeConnection: true });
      await rig.writer.rounds(3);
    }
    await rig.verify();
  });

  it('4: opening again that fails five times is tried a sixth time', async () => {
    const rig = await startRig();
    const resets = () => rig.instances[0]?.feed.status().resets;
    await rig.failFeed({ times: 5 }, { failCommands: ['aggregate'], errorCode: 91 });
    await rig.command({ killAllSessions: [] });
    await rig.writer.rounds(5);
    await rig.verify();
    expect(resets()).toEqual({});
  });

  it('5: a code that nobody has seen is taken as transient, and counted', async () => {
    const rig = await startRig();
    await rig.failFeed({ times: 3 }, { failCommands: ['getMore'], errorCode: 99999 });
    await rig.writer.rounds(5);
    await rig.verify();
    expect(Object.keys(rig.instances[0]?.feed.status().reopens ?? {}).join()).toMatch(/99999/);
  });

  it('6: MaxTimeMSExpired in getMore loses nothing', async () => {
    const rig = await startRig();
    await rig.command({
      configureFailPoint: 'failGetMoreAfterCursorCheckout',
      mode: { times: 3 },
      data: { errorCode: 50 },
    });
    await rig.writer.rounds(6);
    await rig.verify();
  });

  it('7: a step-down and an election lose nothing that was acknowledged', async () => {
    const rig = await startRig({ instances: 2 });
    const load = rig.writer.start();
    await rig.command({ replSetStepDown: 1, secondaryCatchUpPeriodSecs: 1, force: true });
    await expect
      .poll(
        () =>
          rig.writer.round().then(
            () => true,
            () => false,
          ),
        { timeout: 20_000 },
      )
      .toBe(true);
    await load.stop();
    await rig.verify();
  });
});
