import type { Binary, Document } from 'bson';
import type { Users } from './auth/users.ts';
import type { Connection } from './connection.ts';
import type { Cursors } from './cursors.ts';
import type { CommandError } from './errors.ts';
import type { FailPoints } from './fail-points.ts';
import type { Journal } from './journal/journal.ts';
import type { Operation } from './operation.ts';
import type { Clock } from './oplog/clock.ts';
import type { EntryExtra, Oplog, OplogEntry, OplogOperation } from './oplog/oplog.ts';
import type { TokenVersion } from './oplog/tokens.ts';
import type { Replication } from './replication.ts';
import type { Locks } from './sessions/locks.ts';
import type { Sessions } from './sessions/sessions.ts';
import type { Snapshots } from './sessions/snapshots.ts';
import type { Catalog } from './storage/catalog.ts';
import type { Collection, CollectionOptions } from './storage/collection.ts';
import type { IndexSpec } from './storage/collection-index.ts';

/** Deletes what has expired, again and again. */
export interface TtlMonitor {
  /** Seconds between the end of a pass and the next one; a change counts from now. */
  sleepSecs: number;
  stop(): void;
}

export interface EngineOptions {
  readonly standalone: boolean;
  readonly compat: '4.4' | '8.0';
  readonly oplogBytes: number;
  readonly ttlMonitorSleepSecs: number;
  /** Above it inserts are refused. */
  readonly maxBytes: number;
  /** Clients must say who they are. */
  readonly auth: boolean;
}

/** A command that runs now. */
export interface Running {
  readonly operation: Operation;
  readonly name: string;
  /** What currentOp shows of it. */
  readonly command: Document;
  readonly namespace: string;
  readonly writes: boolean;
  readonly connection: Connection;
}

/** Everything that commands work on; one per server, nothing is shared between two in one process. */
export interface Engine {
  readonly options: EngineOptions;
  readonly modern: boolean;
  readonly tokenVersion: TokenVersion;
  readonly clock: Clock;
  readonly oplog: Oplog;
  readonly catalog: Catalog;
  readonly users: Users;
  readonly cursors: Cursors;
  readonly sessions: Sessions;
  readonly locks: Locks;
  /** For reads with read concern "snapshot" outside transactions. */
  readonly snapshots: Snapshots;
  readonly failPoints: FailPoints;
  readonly replication: Replication;
  readonly ttl: TtlMonitor;
  /** What setParameter changes; `ttlMonitorSleepSecs` is in `ttl`. */
  readonly settings: { transactionLifetimeLimitSeconds: number };
  readonly startedAt: number;
  /** Commands being run now. */
  readonly running: Set<Running>;
  /** The addresses of the set where a second one announces itself as a secondary; null: the primary is alone. */
  members: { readonly primary: string; readonly secondary: string } | null;
  /** Of serverStatus. */
  readonly connections: { current: number; available: number; totalCreated: number };
  /** Appends to the oplog and, when there is one, to the journal. */
  record(operations: readonly OplogOperation[], extra?: EntryExtra): OplogEntry;
  createCollection(db: string, name: string, options: CollectionOptions, uuid?: Binary): Collection;
  /**
   * Makes a collection that a transaction has prepared, with its indexes, known to everybody.
   *
   * @throws CommandError 112 WriteConflict when there is one of that name by now
   */
  publishCollection(collection: Collection): void;
  dropCollection(collection: Collection): void;
  /** Adds an index to a collection that is new and empty. */
  addIndex(collection: Collection, spec: IndexSpec): void;
  /**
   * Builds indexes, all or none, while others have their turns: reads and writes go on, but for writes in transactions.
   * No transaction may have written to the collection when this is called.
   *
   * @throws CommandError 11000 when one is unique and the documents are not; what the operation is interrupted with
   */
  buildIndexes(collection: Collection, specs: readonly IndexSpec[], operation: Operation): Promise<void>;
  removeIndex(collection: Collection, name: string): void;
  /** Gives a collection another name; `target` is the one that had it. */
  renameCollection(collection: Collection, db: string, name: string, target: Collection | undefined): void;
  /** Removes the oldest documents of a capped collection that is over its bounds. */
  trimCapped(collection: Collection): void;
  /** Becomes secondary for a time: writes under way are interrupted, open transactions end, reads and cursors go on. */
  stepDown(forMs: number, except: Operation): void;
  /** From now on everything recorded is written to the journal too. */
  attach(journal: Journal): void;
  /** Begins to serve, in the term after `lastTerm` (0 for a new set). */
  begin(lastTerm: number): void;
  /** Removes all but the newest entries of the oplog. */
  cutOplog(keep: number): void;
  /** Whether the data outlives the process. */
  readonly isPersistent: boolean;
  /** Why the disk takes nothing now; undefined while it does. */
  readonly diskFailure: CommandError | undefined;
  /** @throws CommandError 14031 or 96 while the disk takes no writes */
  checkWritable(): void;
  /** Memory that documents, indexes and the oplog take, about. */
  bytesHeld(): number;
  /** @throws CommandError 146 when nothing more can be held */
  checkMemory(): void;
  /** Waits while more than memory should hold is on its way to the disk; undefined when there is no need to. */
  whenRoom(operation: Operation): Promise<unknown> | undefined;
  /**
   * Waits until all that was recorded so far is durable, at most `timeoutMs`; undefined when it is, or nothing ever is.
   *
   * @returns whether it became so in time
   * @throws CommandError 14031 or 96 when the disk does not take it; what interrupts the operation
   */
  whenDurable(operation: Operation, timeoutMs?: number): Promise<boolean> | undefined;
  stop(): void;
}
