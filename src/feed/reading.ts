import type { MongoClient } from 'mongodb';
import type { ResetReason } from '../protocol/messages.ts';
import { type ClusterTime, endOf, type Position, timeOf } from '../protocol/position.ts';
import type { Base } from '../store/base.ts';
import { type Change, type ChangeDecoder, createDecoder } from './change.ts';
import { EPOCH_KEY, ensureEpoch, readEpoch } from './epoch.ts';
import { askStanding } from './majority.ts';
import { readOversized } from './oversized.ts';
import { classify } from './policy.ts';
import type { Progress } from './progress.ts';
import type { InsertedInto } from './rewind.ts';
import type { State } from './state.ts';
import { type Batch, type ChangeCursor, openCursor } from './stream.ts';
import type { Timeline } from './timeline.ts';
import type { Watch } from './watch.ts';

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
  /** Whether the server can send a large event in fragments. */
  readonly splitsLargeEvents: boolean;
  createState(): State;
  createTimeline(epoch: string, state: State, floor: Position): Timeline;
  readBase(client: MongoClient, after: ClusterTime, inserted: InsertedInto): Promise<Base>;
  /** The majority time as last asked in the background, or null. */
  majority(): ClusterTime | null;
  /** Around every command on the stream, for the watchdog. */
  sent(): void;
  answered(): void;
  /** A batch was read and applied. */
  advanced(): void;
  /** What clients are told as the epoch of a database that says this of itself. */
  epochName(epoch: string): string;
  /** A token did not decode, so that positions are counted from here on; called once per change. */
  guessing(): void;
  /** Something came that is no change document; it is passed over. */
  malformed(): void;
  /** An event too large to be sent was passed. */
  oversized(): void;
}

/** While the past is caught up with, an idle server is not waited for. */
export const REWIND_AWAIT_MS = 20;

/** One cursor with everything that belongs to it. */
export interface Reading {
  cursor: ChangeCursor;
  decoder: ChangeDecoder;
  readonly progress: Progress;
  /** Documents were read at rest up to here, ahead of the stream. */
  readAhead: Position;
  /** The reply that was asked for while the former one was taken. */
  asked: Asked | null;
}

/** A `getMore` under way. */
interface Asked {
  readonly reply: Promise<Batch | null>;
  /** As it was known before the question. */
  readonly majority: ClusterTime | null;
}

/** Takes one change that was not applied before. */
export type Take = (change: Change) => void;

const afterTime = (position: Position): Plan => {
  const time = timeOf(position);
  return { kind: 'after', time: { t: time.t, i: time.i + 1 }, skip: endOf(time) };
};

/** The plan that goes on after a change which could not be followed. */
export const afterChange = ({ time, position }: Change): Plan => ({ kind: 'after', time, skip: position });

/** Decodes a batch and hands each change that was not applied before to `take`. */
export function walk(reading: Reading, batch: Batch, options: SessionOptions, take: Take): void {
  const { progress, decoder } = reading;
  let invalidated = !batch.open;
  for (const raw of batch.changes) {
    const { malformed } = decoder;
    const change = decoder.decode(raw);
    if (decoder.malformed > malformed) options.malformed();
    if (change === null) continue;
    if (decoder.guessing) options.guessing();
    // Before the skip rule: an invalidate shares its place with the dropDatabase before it.
    if (change.kind === 'invalidate') {
      invalidated = true;
      break;
    }
    if (change.position <= progress.last) continue;
    if (concernsEpoch(change, options)) throw new FreshNeeded('restored', afterChange(change));
    take(change);
    progress.applied(change.position);
  }
  // A closed cursor is an invalidate, whatever was seen.
  if (invalidated) throw new FreshNeeded('drop_database', afterTime(progress.delivered));
}

/** Whether what positions mean has changed. The epoch's insert is its beginning, which its reader has seen. */
function concernsEpoch(change: Change, { watch }: SessionOptions): boolean {
  if (change.kind === 'rename') return watch.isMeta(change.ns) || watch.isMeta(change.to);
  if (!watch.isMeta(change.ns) || change.kind === 'insert') return false;
  return !('key' in change) || change.key === EPOCH_KEY;
}

/** Opens a cursor at a time, inclusive. */
export async function open(options: SessionOptions, startAt: ClusterTime, batchSize: number): Promise<ChangeCursor> {
  const { client, watch, splitsLargeEvents } = options;
  options.sent();
  try {
    const stages = watch.stages(splitsLargeEvents);
    return await openCursor(client, { database: watch.database, stages, startAt, batchSize });
  } finally {
    options.answered();
  }
}

const isTooLarge = (error: unknown): boolean => classify(error).class === 'too_large';

/** One reply of the server; null when what comes next is too large for one. */
async function reply({ cursor }: Reading, options: SessionOptions, awaitMs: number): Promise<Batch | null> {
  options.sent();
  try {
    return await cursor.next(awaitMs);
  } catch (error) {
    if (isTooLarge(error)) return null;
    throw error;
  } finally {
    options.answered();
  }
}

function ask(reading: Reading, options: SessionOptions, awaitMs: number): Asked {
  const asked = { majority: options.majority(), reply: reply(reading, options, awaitMs) };
  // It may fail while the former reply is taken; whoever awaits it later hears of it.
  asked.reply.catch(() => undefined);
  return asked;
}

/** Lets what was written to a socket go out before the event loop is busy for a while. */
const flushed = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Reads and takes one batch, whatever it needs; waits up to `awaitMs` for it. While a full one is taken the server is
 * already asked for the next, so that the two work at the same time.
 */
export async function next(reading: Reading, options: SessionOptions, awaitMs: number, take: Take): Promise<void> {
  const { reply: answer, majority } = reading.asked ?? ask(reading, options, awaitMs);
  reading.asked = null;
  const batch = await answer;
  if (batch === null) {
    await pass(reading, options, take);
    return;
  }
  if (batch.open && batch.changes.length >= options.batchSize) {
    reading.asked = ask(reading, options, awaitMs);
    await flushed();
  }
  walk(reading, batch, options, take);
  reading.progress.replied(batch, majority);
}

/**
 * Gets past an event that is too large to be sent: takes what stands before it one by one, then it and the rest of its
 * clusterTime without documents, and opens the stream again after that.
 */
async function pass(reading: Reading, options: SessionOptions, take: Take): Promise<void> {
  const { progress } = reading;
  const { client, watch } = options;
  const reopen = async (batchSize: number): Promise<void> => {
    await reading.cursor.close();
    const majority = await majorityNow(options);
    const startAt = progress.resumeAt();
    reading.cursor = await open(options, startAt, batchSize);
    reading.decoder = createDecoder();
    progress.opened(startAt, majority);
  };
  await reopen(1);
  let batch = await reply(reading, options, REWIND_AWAIT_MS);
  for (; batch !== null && batch.changes.length > 0; batch = await reply(reading, options, REWIND_AWAIT_MS)) {
    walk(reading, batch, options, take);
  }
  // Null: the next event is the one. An empty reply: there is none, the server only said so once.
  const changes = batch === null ? await readOversized(client, watch, progress.resumeAt(), progress.last) : [];
  reading.readAhead = endOf(await majorityNow(options));
  for (const change of changes) {
    take(change);
    progress.applied(change.position);
  }
  const last = changes.at(-1);
  if (last !== undefined) {
    progress.passed(last.time);
    options.oversized();
  }
  await reopen(options.batchSize);
}

/** The majority time now. Throws ConfigurationError for servers that have none. */
export async function majorityNow(options: SessionOptions): Promise<ClusterTime> {
  const standing = await askStanding(options.client);
  if (standing.isMongos) {
    throw new ConfigurationError('this is a mongos; the service needs the address of a replica set');
  }
  if (standing.majority === null) {
    throw new ConfigurationError('this MongoDB is a standalone server; change streams need a replica set (--replSet)');
  }
  return standing.majority;
}

/** The database's epoch, created where there is none. */
export async function epochNow(options: SessionOptions): Promise<string> {
  const database = options.client.db(options.metaDatabase);
  const epoch = await readEpoch(database);
  if (epoch !== null) return options.epochName(epoch);
  await ensureEpoch(database);
  return options.epochName((await readEpoch(database)) ?? 'none');
}
