import type { MongoClient, ReadPreferenceMode } from 'mongodb';
import type { Position } from '../protocol/position.ts';
import { createSources, type Sources } from '../roulette/source.ts';
import type { TableId } from '../roulette/table.ts';
import { collectionsNamed } from '../store/places.ts';
import { createFollower } from './follow.ts';
import type { FollowOptions } from './following.ts';
import { createReplica, type ReplicaOptions } from './replica.ts';
import type { ReadBase } from './rewind.ts';
import { type Feed, type FeedHearers, type Inside, nowMs, serve } from './serve.ts';
import { createState } from './state.ts';
import { createWatch } from './stream.ts';
import { createServedTimeline, createTimeline, type FollowedTimeline } from './timeline.ts';
import type { FeedTimings } from './timings.ts';

export interface FeedOptions {
  readonly uri: string;
  /** Which member of the replica set is read from; the primary by default. */
  readonly readPreference?: ReadPreferenceMode;
  /** The database of strategies and `_rt_meta`. */
  readonly database: string;
  /** The database of the per-table collections; the same as `database` in most places. */
  readonly tablesDatabase: string;
  readonly recoveryWindowSeconds: number;
  readonly ringBytes: number;
  readonly liveMaxAgeMs: number;
  readonly minSpinIntervalMs: number;
  /** Which collections and fields are read; the store is handed the same. */
  readonly sources?: Sources;
  /** How long a `getMore` waits for changes; does not delay them. */
  readonly awaitMs: number;
  /** Changes asked for at once; 1,000 by default. */
  readonly batchSize?: number;
  /** Serves replicas alone: while nobody listens to any, the stream is read seldom and much at once. */
  readonly forReplicas?: boolean;
  /** Where they differ from the defaults. */
  readonly timings?: Partial<FeedTimings>;
}

export interface FeedParts extends FeedHearers {
  readonly readBase: ReadBase;
  /** These tables have a double zero, by a number of theirs alone: that is to be noted, before it is forgotten. */
  doubleZeros?(tables: readonly TableId[]): void;
}

/** A feed that follows another one instead of a database. */
export interface ReplicaFeedOptions extends Pick<FeedOptions, 'recoveryWindowSeconds' | 'ringBytes' | 'timings'> {
  readonly connect: ReplicaOptions['connect'];
}

const BATCH_SIZE = 1_000;

/** Starts following the database; retries for ever, so that a database that is away at start is no error. */
export const startFeed = (options: FeedOptions, parts: FeedParts): Feed =>
  serve(options, parts, (inside) => createFollower(followed(options, parts, inside)));

/** The same for another feed in place of the database. */
export const startReplica = (options: ReplicaFeedOptions, parts: FeedHearers): Feed =>
  serve(options, parts, (inside) => createReplica(replicated(options, parts, inside)));

/** What the loop needs to know and to build, from what the feed was given. */
function followed(options: FeedOptions, parts: FeedParts, inside: Inside): FollowOptions {
  const { publish, readBase, doubleZeros = () => undefined } = parts;
  const { timings, tally, observer, outlet, learnt } = inside;
  const { sources = createSources() } = options;
  const databases = [...new Set([options.database, options.tablesDatabase])];
  const watch = createWatch(options.database, options.tablesDatabase, sources);
  const { sourceOf, isRead, isDropped } = watch;
  const { isForeign } = sources;
  return {
    ...inside,
    uri: options.uri,
    readPreference: options.readPreference ?? 'primary',
    metaDatabase: options.database,
    watch,
    windowSeconds: options.recoveryWindowSeconds,
    ringBytes: options.ringBytes,
    awaitMs: options.awaitMs,
    batchSize: options.batchSize ?? BATCH_SIZE,
    rest: options.forReplicas === true ? outlet.rest : async () => undefined,
    nowMs,
    random: Math.random,
    readBase,
    doubleZeros,
    adopt: async (client: MongoClient) => watch.adopt(await collectionsNamed(client, databases, sources)),
    createTimeline(epoch: string, floor: Position): FollowedTimeline {
      const { liveMaxAgeMs, minSpinIntervalMs, ringBytes } = options;
      const state = createState({ liveMaxAgeMs, minSpinIntervalMs, sourceOf, isRead, isForeign, isDropped });
      const ringSeconds = options.recoveryWindowSeconds;
      const told = { tally, observer, learnt, entries: outlet.entries };
      return createTimeline({ epoch, state, floor, ringSeconds, ringBytes, ...told, nowMs, timings }, publish);
    },
  };
}

/** The same for a replica. */
function replicated(options: ReplicaFeedOptions, { publish }: FeedHearers, inside: Inside): ReplicaOptions {
  const { timings, tally, observer, outlet, learnt } = inside;
  return {
    ...inside,
    nowMs,
    random: Math.random,
    changed: outlet.entries.changed,
    connect: options.connect,
    createTimeline(epoch, floor, state) {
      const { ringBytes, recoveryWindowSeconds: ringSeconds } = options;
      const told = { tally, observer, learnt, entries: outlet.entries };
      return createServedTimeline({ epoch, state, floor, ringSeconds, ringBytes, ...told, nowMs, timings }, publish);
    },
  };
}
