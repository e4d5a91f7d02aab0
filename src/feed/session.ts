import type { MongoClient } from 'mongodb';
import type { ResetReason } from '../protocol/messages.ts';
import {
  type ClusterTime,
  compareTimes,
  endOf,
  later,
  ORIGIN,
  type Position,
  startOf,
  timeOf,
} from '../protocol/position.ts';
import { type Change, type ChangeDecoder, createDecoder } from './change.ts';
import { ensureEpoch, readEpoch } from './epoch.ts';
import { askStanding } from './majority.ts';
import { createProgress, type Progress } from './progress.ts';
import { type Base, insertedPer, playBack, rollBack } from './rewind.ts';
import type { State } from './state.ts';
import { type Batch, type ChangeCursor, openCursor } from './stream.ts';
import type { Timeline } from './timeline.ts';
import { secondsBefore, type Watch } from './watch.ts';

/** Where a fresh state begins. */
export type Plan =
  /** This many seconds before the majority time; 0 is "now". */
  | { readonly kind: 'window'; readonly seconds: number }
  /** At a change that the former state could not follow; that change itself is passed over. */
  | { readonly kind: 'after'; readonly time: ClusterTime; readonly skip: Position };

/** A setting of the server that no retry mends; words for an operator. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

/** Ends a session on purpose: a fresh state is needed, from here. */
export class FreshNeeded extends Error {
  override readonly name = 'FreshNeeded';
  readonly reason: ResetReason;
  readonly plan: Plan;

  constructor(reason: ResetReason, plan: Plan) {
    super(`a fresh state is needed: ${reason}`);
    this.reason = reason;
    this.plan = plan;
  }
}

export interface SessionOptions {
  readonly client: MongoClient;
  /** The database of `_rt_meta`. */
  readonly metaDatabase: string;
  readonly watch: Watch;
  readonly windowSeconds: number;
  readonly awaitMs: number;
  readonly batchSize: number;
  createState(): State;
  createTimeline(epoch: string, state: State, floor: Position): Timeline;
  readBase(client: MongoClient, after: ClusterTime, perTable: number): Promise<Base>;
  /** The majority time as last asked in the background, or null. */
  majority(): ClusterTime | null;
  /** Around every command on the stream, for the watchdog. */
  sent(): void;
  answered(): void;
  /** A batch was read and applied: D may have moved. */
  advanced(progress: Progress): void;
  guessing(): void;
}

/** While the past is caught up with, an idle server is not waited for. */
const REWIND_AWAIT_MS = 20;

/** One cursor with everything that belongs to it. */
export interface Reading {
  readonly cursor: ChangeCursor;
  readonly decoder: ChangeDecoder;
  readonly progress: Progress;
}

const afterTime = (position: Position): Plan => {
  const time = timeOf(position);
  return { kind: 'after', time: { t: time.t, i: time.i + 1 }, skip: endOf(time) };
};

/** Decodes a batch and hands each change that was not applied before to `take`. */
function walk(reading: Reading, batch: Batch, options: SessionOptions, take: (change: Change) => void): void {
  const { progress, decoder } = reading;
  let invalidated = !batch.open;
  for (const raw of batch.changes) {
    const change = decoder.decode(raw);
    if (decoder.guessing) options.guessing();
    // Before the skip rule: an invalidate shares its place with the dropDatabase before it.
    if (change.kind === 'invalidate') {
      invalidated = true;
      break;
    }
    if (change.position <= progress.last) continue;
    if (concernsEpoch(change, options)) {
      throw new FreshNeeded('restored', { kind: 'after', time: change.time, skip: change.position });
    }
    take(change);
    progress.applied(change.position);
  }
  // A closed cursor is an invalidate, whatever was seen.
  if (invalidated) throw new FreshNeeded('drop_database', afterTime(progress.delivered));
}

function concernsEpoch(change: Change, { watch }: SessionOptions): boolean {
  if (change.kind === 'rename') return watch.isMeta(change.ns) || watch.isMeta(change.to);
  return watch.isMeta(change.ns);
}

async function open(options: SessionOptions, startAt: ClusterTime): Promise<ChangeCursor> {
  const { client, watch, batchSize } = options;
  options.sent();
  try {
    return await openCursor(client, { database: watch.database, stages: watch.stages, startAt, batchSize });
  } finally {
    options.answered();
  }
}

async function next(
  reading: Reading,
  options: SessionOptions,
  awaitMs: number,
  take: (change: Change) => void,
): Promise<void> {
  const majority = options.majority();
  options.sent();
  const batch = await reading.cursor.next(awaitMs).finally(options.answered);
  walk(reading, batch, options, take);
  reading.progress.replied(batch, majority);
}

/** The majority time now. Throws ConfigurationError for servers that have none. */
async function majorityNow(options: SessionOptions): Promise<ClusterTime> {
  const standing = await askStanding(options.client);
  if (standing.isMongos) {
    throw new ConfigurationError('this is a mongos; the service needs the address of a replica set');
  }
  if (standing.majority === null) {
    throw new ConfigurationError('this MongoDB is a standalone server; change streams need a replica set (--replSet)');
  }
  return standing.majority;
}

async function epochNow(options: SessionOptions): Promise<string> {
  const database = options.client.db(options.metaDatabase);
  const epoch = await readEpoch(database);
  if (epoch !== null) return epoch;
  await ensureEpoch(database);
  return (await readEpoch(database)) ?? 'none';
}

/** A fresh state, caught up, with its cursor still open. */
export interface Caught {
  readonly timeline: Timeline;
  readonly reading: Reading;
}

/**
 * Builds a fresh state: opens the stream in the past, buffers, reads the database at rest, catches up, and plays the
 * buffer over the read. Throws FreshNeeded when a change in between asks for another start.
 */
export async function rewind(options: SessionOptions, plan: Plan): Promise<Caught> {
  const epoch = await epochNow(options);
  const majority = await majorityNow(options);
  const wanted =
    plan.kind === 'after' ? plan.time : plan.seconds === 0 ? majority : secondsBefore(majority, plan.seconds);
  // Never above the majority time (a restored clock may have gone back), but for the tick after an invalidate.
  const highest = { t: majority.t, i: majority.i + 1 };
  const startAt = compareTimes(wanted, highest) > 0 ? majority : wanted;
  const skip = plan.kind === 'after' && startAt === wanted ? plan.skip : ORIGIN;

  const cursor = await open(options, startAt);
  const reading: Reading = { cursor, decoder: createDecoder(), progress: createProgress(startAt, skip) };
  const { progress } = reading;
  try {
    const changes: Change[] = [];
    const buffer = (change: Change): void => {
      changes.push(change);
    };
    progress.opened(startAt, majority);
    walk(reading, cursor.first, options, buffer);
    while (progress.delivered < startOf(majority)) await next(reading, options, REWIND_AWAIT_MS, buffer);

    const base = await options.readBase(options.client, startAt, insertedPer(changes));
    const read = await majorityNow(options);
    while (progress.delivered < endOf(read) && compareTimes(timeOf(progress.delivered), read) <= 0) {
      await next(reading, options, REWIND_AWAIT_MS, buffer);
    }

    const state = options.createState();
    rollBack(state, base, changes);
    const floor = later(startOf(startAt), skip);
    const timeline = options.createTimeline(epoch, state, floor);
    const interrupted = playBack(timeline, changes);
    if (interrupted !== null) {
      const { change, reason } = interrupted;
      throw new FreshNeeded(reason, { kind: 'after', time: change.time, skip: change.position });
    }
    return { timeline, reading };
  } catch (error) {
    await cursor.close();
    throw error;
  }
}

/** Goes on with a timeline from where it stands. Throws FreshNeeded when the database has another epoch by now. */
export async function resume(options: SessionOptions, timeline: Timeline, progress: Progress): Promise<Reading> {
  const epoch = await epochNow(options);
  const majority = await majorityNow(options);
  if (epoch !== timeline.epoch) throw new FreshNeeded('restored', { kind: 'window', seconds: 0 });
  const startAt = progress.resumeAt();
  const cursor = await open(options, startAt);
  progress.opened(startAt, majority);
  return { cursor, decoder: createDecoder(), progress };
}

/** Follows the stream until it fails, is stopped or needs a fresh state; never returns normally. */
export async function follow(options: SessionOptions, timeline: Timeline, reading: Reading): Promise<never> {
  const { progress, cursor } = reading;
  const take = (change: Change): void => {
    const reason = timeline.apply(change, false);
    if (reason === null) return;
    progress.applied(change.position);
    // What a rename brought was never seen; for the rest the window can be read again.
    throw reason === 'rename'
      ? new FreshNeeded(reason, { kind: 'after', time: change.time, skip: change.position })
      : new FreshNeeded(reason, { kind: 'window', seconds: options.windowSeconds });
  };
  try {
    walk(reading, cursor.first, options, take);
    options.advanced(progress);
    for (;;) {
      await next(reading, options, options.awaitMs, take);
      options.advanced(progress);
    }
  } finally {
    await cursor.close();
  }
}
