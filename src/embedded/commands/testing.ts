import { Int32 } from 'bson';
import { CODES } from '../codes.ts';
import type { Engine } from '../engine.ts';
import { CommandError } from '../errors.ts';
import type { WaitPoint } from '../fail-points.ts';
import { type Operation, waitFor } from '../operation.ts';
import { type Command, fields } from './command.ts';
import { optionalBoolean, optionalCount, optionalDocument, wrongType } from './fields.ts';

export const configureFailPoint: Command = {
  name: 'configureFailPoint',
  fields: fields('mode', 'data'),
  unknownField: 40415,
  adminOnly: true,
  always: true,
  run({ engine, body }) {
    const name: unknown = body['configureFailPoint'];
    if (typeof name !== 'string') throw wrongType('configureFailPoint', name, 'string');
    return { count: new Int32(engine.failPoints.configure(name, body['mode'], optionalDocument(body, 'data') ?? {})) };
  },
};

/** Waits while a fail point of that name is on for the namespace. */
export async function passWaitPoint(
  engine: Engine,
  name: WaitPoint,
  namespace: string,
  operation: Operation,
): Promise<void> {
  if (!engine.failPoints.waitsAt(name, namespace)) return;
  await waitFor(operation, (callback) => engine.failPoints.whenOff(name, callback));
}

/**
 * `{runcashTestCutOplog: 1, keep: n}` (admin database): removes all but the newest `n` entries of the oplog (default 1),
 * so that tests see history lost (286, 136) without writing megabytes. It exists on this server only.
 */
export const runcashTestCutOplog: Command = {
  name: 'runcashTestCutOplog',
  fields: fields('keep'),
  unknownField: 40415,
  adminOnly: true,
  run({ engine, body }) {
    engine.cutOplog(optionalCount(body, 'keep') ?? 1);
    return { first: engine.oplog.firstSequence, next: engine.oplog.nextSequence };
  },
};

/** Seconds that a stepped-down node does not stand for election, when the command does not say. */
const DEFAULT_STEP_DOWN_SECONDS = 60;

/**
 * Without `force` the server waits for an electable secondary, which a one-node set does not have: the same error as
 * on a real one. With it, the node is secondary for the time asked for, then elects itself in a new term.
 */
export const replSetStepDown: Command = {
  name: 'replSetStepDown',
  fields: fields('secondaryCatchUpPeriodSecs', 'force'),
  unknownField: 9,
  adminOnly: true,
  always: true,
  run({ engine, body, operation }) {
    if (engine.options.standalone) throw new CommandError(CODES.NoReplicationEnabled, 'not running with --replSet');
    if (!engine.replication.isPrimary)
      throw new CommandError(CODES.NotWritablePrimary, "not primary so can't step down");
    const seconds = optionalCount(body, 'replSetStepDown') ?? DEFAULT_STEP_DOWN_SECONDS;
    if (optionalBoolean(body, 'force') !== true) {
      throw new CommandError(
        CODES.ExceededTimeLimit,
        'No electable secondaries caught up as of now. Please use the replSetStepDown command with the argument {force: true} to force node to step down.',
      );
    }
    engine.stepDown(seconds * 1000, operation);
    return {};
  },
};
