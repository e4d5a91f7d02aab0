import { type Document, Timestamp } from 'bson';
import { CODES } from '../codes.ts';
import type { Engine } from '../engine.ts';
import { badValue, CommandError, failedToParse } from '../errors.ts';
import type { Operation } from '../operation.ts';
import { compareTimes, fromTimestamp, toTimestamp } from '../oplog/clock.ts';
import type { Snapshot } from '../sessions/snapshots.ts';
import { toNumber } from '../values/numbers.ts';
import { isDocument } from '../values/types.ts';
import type { Command, CommandContext } from './command.ts';
import { optionalDocument, wrongType } from './fields.ts';

/**
 * What the set answers to a write concern once the write is done: with one node that holds all, everything it can
 * satisfy it has satisfied already.
 *
 * @returns the `writeConcernError`, or undefined
 */
export function writeConcernError(engine: Engine, body: Document): Document | undefined {
  const concern = optionalDocument(body, 'writeConcern');
  if (concern === undefined) return undefined;
  const w: unknown = concern['w'];
  const number = toNumber(w);
  const errInfo = () => ({ writeConcern: { ...concern, provenance: 'clientSupplied' } });
  if (typeof w === 'string' && w !== 'majority') {
    return {
      code: 79,
      codeName: 'UnknownReplWriteConcern',
      errmsg: `No write concern mode named '${w}' found in replica set configuration`,
      errInfo: errInfo(),
    };
  }
  if (number === undefined || number <= 1 || engine.options.standalone) return undefined;
  return {
    code: 100,
    codeName: 'UnsatisfiableWriteConcern',
    errmsg: 'Not enough data-bearing nodes',
    errInfo: errInfo(),
  };
}

/** @throws CommandError 9 FailedToParse, 14 TypeMismatch, 2 BadValue */
export function checkWriteConcern(engine: Engine, body: Document): void {
  const concern = optionalDocument(body, 'writeConcern');
  if (concern === undefined) return;
  const w: unknown = concern['w'];
  const number = toNumber(w);
  if (w !== undefined && typeof w !== 'string' && number === undefined && !isDocument(w)) {
    throw failedToParse('w has to be a number or a string');
  }
  if (number !== undefined && (number < 0 || number > 50)) {
    throw failedToParse('w has to be a non-negative number and not greater than 50');
  }
  for (const name of Object.keys(concern)) {
    if (!['w', 'j', 'fsync', 'wtimeout', 'wElectionId', 'wOpTime', 'getLastError', 'provenance'].includes(name)) {
      throw failedToParse(`unrecognized write concern field: ${name}`);
    }
  }
  if (engine.options.standalone && number !== undefined && number > 1) {
    throw badValue("cannot use 'w' > 1 when a host is not replicated");
  }
}

/** `wtimeout` ended before the write was durable; it may become so later. */
function writeConcernTimeout(): Document {
  return {
    code: CODES.WriteConcernFailed,
    codeName: 'WriteConcernFailed',
    errmsg: 'waiting for replication timed out',
    errInfo: { wtimeout: true },
  };
}

/** The disk does not take the write, which is done in memory: it becomes durable when there is room. */
function notDurable(reason: string): Document {
  return { code: CODES.WriteConcernFailed, codeName: 'WriteConcernFailed', errmsg: reason };
}

/**
 * Waits until what the command tells is durable. Reads go on while the disk takes nothing: what they show is what will
 * be there, unless the process ends before there is room.
 *
 * @returns the write concern's error when it is not durable in time, or not at all
 */
export async function untilDurable(
  engine: Engine,
  operation: Operation,
  timeoutMs: number | undefined,
): Promise<Document | undefined> {
  try {
    const inTime = (await engine.whenDurable(operation, timeoutMs)) ?? true;
    return inTime ? undefined : writeConcernTimeout();
  } catch (error) {
    if (!(error instanceof CommandError) || error !== engine.diskFailure) throw error;
    return notDurable(error.message);
  }
}

/**
 * Whether the answer waits until what it tells is durable: writes with `w: "majority"` (which journals, as by default in
 * a set) or `j`, since 5.0 also without a concern; reads that may only show what a majority has.
 */
export function waitsForDisk(engine: Engine, command: Command, body: Document, inTransaction: boolean): boolean {
  if (!engine.isPersistent) return false;
  const level: unknown = optionalDocument(body, 'readConcern')?.['level'];
  if (!inTransaction && (level === 'majority' || level === 'linearizable' || level === 'snapshot')) return true;
  if (command.writeConcern !== true || inTransaction) return false;
  const concern = optionalDocument(body, 'writeConcern');
  const w: unknown = concern?.['w'];
  return (
    w === 'majority' || concern?.['j'] === true || concern?.['fsync'] === true || (engine.modern && w === undefined)
  );
}

const LEVELS = ['local', 'majority', 'linearizable', 'available', 'snapshot'];

/**
 * Checks `readConcern` and sees to `afterClusterTime`. One node has nothing that is not committed by its majority, so
 * the levels differ only in what they refuse.
 *
 * @throws CommandError 9, 72 InvalidOptions, 14
 */
export function applyReadConcern(engine: Engine, body: Document, inTransaction: boolean): void {
  const concern = optionalDocument(body, 'readConcern');
  if (concern === undefined) return;
  const level: unknown = concern['level'];
  if (level !== undefined && (typeof level !== 'string' || !LEVELS.includes(level))) {
    throw failedToParse(
      "readConcern.level must be either 'local', 'majority', 'linearizable', 'available', or 'snapshot'",
    );
  }
  if (inTransaction && (level === 'linearizable' || level === 'available')) {
    throw new CommandError(
      CODES.InvalidOptions,
      "The readConcern level must be either 'local' (default), 'majority' or 'snapshot' in order to run in a transaction",
    );
  }
  if (level === 'snapshot' && !inTransaction && !engine.modern) {
    throw new CommandError(CODES.InvalidOptions, 'readConcern level snapshot is only valid in a transaction');
  }
  const after: unknown = concern['afterClusterTime'];
  if (after === undefined) return;
  if (!(after instanceof Timestamp)) throw wrongType('readConcern.afterClusterTime', after, 'timestamp');
  if (engine.options.standalone)
    throw new CommandError(
      CODES.IllegalOperation,
      'Cannot specify afterClusterTime readConcern without replication enabled',
    );
  const time = fromTimestamp(after);
  if (compareTimes(time, engine.clock.clusterTime) > 0) {
    throw new CommandError(
      CODES.InvalidOptions,
      'readConcern afterClusterTime value must not be greater than the current clusterTime.',
    );
  }
  // The set has not reached that time by a write of its own: a no-op brings it there, as the server does.
  if (compareTimes(time, engine.oplog.last) > 0) engine.record([{ kind: 'noop', message: 'afterClusterTime' }]);
}

/**
 * What a read outside a transaction sees when it asks for read concern "snapshot": the state at `atClusterTime`, or the
 * newest, whose time the answer tells.
 *
 * @throws CommandError 72 InvalidOptions, 239 SnapshotTooOld
 */
export function readSnapshot(engine: Engine, command: Command, body: Document): Snapshot | undefined {
  const concern = optionalDocument(body, 'readConcern');
  const at: unknown = concern?.['atClusterTime'];
  if (concern?.['level'] !== 'snapshot') {
    if (at === undefined) return undefined;
    throw new CommandError(CODES.InvalidOptions, "readConcern level must be 'snapshot' for 'atClusterTime'");
  }
  if (command.snapshotReads !== true) {
    throw new CommandError(
      CODES.InvalidOptions,
      `Command ${command.name} does not support readConcern "snapshot" outside a transaction`,
    );
  }
  if (at !== undefined && !(at instanceof Timestamp)) throw wrongType('readConcern.atClusterTime', at, 'timestamp');
  return engine.snapshots.at(at === undefined ? undefined : fromTimestamp(at));
}

/** The field of an answer that tells which snapshot was read. */
export function snapshotTime({ snapshot }: CommandContext): Document {
  return snapshot === undefined ? {} : { atClusterTime: toTimestamp(snapshot.time) };
}
