import type { MongoClient, ReadPreferenceMode } from 'mongodb';
import type { Position } from '../protocol/position.ts';
import type { TableId } from '../roulette/table.ts';
import type { Connection, SetTimes } from './connection.ts';
import type { Mending } from './mending.ts';
import type { Progress } from './reading.ts';
import type { Fresh, Plan, ReadBase } from './rewind.ts';
import type { Step } from './step.ts';
import type { Watch } from './stream.ts';
import type { FollowedTimeline } from './timeline.ts';
import type { FeedTimings } from './timings.ts';

export interface FollowOptions {
  readonly uri: string;
  readonly readPreference: ReadPreferenceMode;
  /** The database of `_rt_meta`. */
  readonly metaDatabase: string;
  readonly watch: Watch;
  readonly windowSeconds: number;
  readonly ringBytes: number;
  readonly awaitMs: number;
  readonly batchSize: number;
  /** What is waited for before the stream is asked again, unless it has more already. */
  rest(): Promise<void>;
  readonly timings: FeedTimings;
  readonly nowMs: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  /** What the set says of its times; null when it could not be asked. */
  times(times: SetTimes | null, askedMs: number): void;
  /** A document of `_rt_meta` changed, the epoch apart. */
  metaChanged(): void;
  /** These tables have a double zero, by a number of theirs alone. */
  doubleZeros(tables: readonly TableId[]): void;
  createTimeline(epoch: string, floor: Position): FollowedTimeline;
  /** Learns which collections the tables' own documents name, before a stream that covers them is opened. */
  adopt(client: MongoClient): Promise<void>;
  readonly readBase: ReadBase;
}

/** A timeline with how far it was read. */
export interface Followed {
  readonly timeline: FollowedTimeline;
  readonly progress: Progress;
  readonly mending: Mending;
  /** Documents were read at rest up to here, ahead of the stream. */
  readAhead: Position;
}

/** What a follower knows from one cursor to the next. */
export interface Following {
  readonly options: FollowOptions;
  /** Aborted when the follower is to end. */
  readonly signal: AbortSignal;
  connection: Connection | null;
  /** Null until the past was read. */
  followed: Followed | null;
  /** Whether the server takes the stage that splits large events; null while that was not tried. */
  splits: boolean | null;
  /** Where the next fresh state begins. */
  plan: Plan;
  /** How long the past may take to read. */
  budgetMs: number;
  /** Whether the open cursor was given up because the past took longer. */
  isLate: boolean;
  /** Fresh states that followed each other closely, and when the last one began. */
  freshes: number;
  freshMs: number;
  /** What failed since something was read. */
  failures: Failures;
}

interface Failures {
  /** How many there were. */
  readonly attempt: number;
  /** Where it failed last, and how often there by the error's name. */
  readonly at: string;
  readonly times: ReadonlyMap<string, number>;
}

/** Something was read: whatever failed before is over. */
export const NO_FAILURES: Failures = { attempt: 0, at: '', times: new Map() };

export const createFollowing = (options: FollowOptions, signal: AbortSignal): Following => ({
  options,
  signal,
  connection: null,
  followed: null,
  splits: null,
  plan: { kind: 'window', seconds: options.windowSeconds },
  budgetMs: options.timings.rewindBudgetMs,
  isLate: false,
  freshes: 0,
  freshMs: Number.NEGATIVE_INFINITY,
  failures: NO_FAILURES,
});

export async function closeConnection(following: Following): Promise<void> {
  const old = following.connection;
  following.connection = null;
  // It is given up, whatever its end says.
  await old?.close().catch(() => undefined);
}

/** Forgets what was followed; the next cursor begins where `plan` says. */
export function* beginFresh(following: Following, { reason, plan }: Fresh, words: string): Generator<Step, void> {
  following.followed = null;
  following.plan = plan;
  yield { kind: 'fresh', reason, words };
}
