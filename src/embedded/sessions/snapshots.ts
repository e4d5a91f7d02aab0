import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { type ClusterTime, compareTimes } from '../oplog/clock.ts';
import type { Oplog } from '../oplog/oplog.ts';
import type { Catalog } from '../storage/catalog.ts';

/** The state of everything at one cluster time, kept readable for a while. */
export interface Snapshot {
  readonly time: ClusterTime;
  /** Number of the last commit that it shows. */
  readonly commit: number;
  /** @throws CommandError 239 SnapshotTooOld once what it needs is no longer kept */
  check(): void;
}

export interface Snapshots {
  /**
   * The state at that time, which must be one that a read was given before or the newest; without a time, the newest.
   *
   * @throws CommandError 239 SnapshotTooOld
   */
  at(time: ClusterTime | undefined): Snapshot;
  /** Lets go of all; none can be read from afterwards. */
  stop(): void;
}

/** `minSnapshotHistoryWindowInSeconds`. */
const WINDOW_MS = 300_000;

function tooOld(): CommandError {
  return new CommandError(
    CODES.SnapshotTooOld,
    'Read timestamp is older than the oldest available timestamp, or no read was ever given it',
  );
}

/** Snapshots for reads outside transactions: old states of documents are kept while one is open. */
export function createSnapshots(catalog: Catalog, oplog: Oplog): Snapshots {
  const kept = new Map<string, Snapshot>();
  const timers = new Map<string, NodeJS.Timeout>();
  const keyOf = ({ t, i }: ClusterTime) => `${t}.${i}`;
  const release = (key: string) => {
    clearTimeout(timers.get(key));
    timers.delete(key);
    if (kept.delete(key)) catalog.closeSnapshot();
  };
  return {
    at(time) {
      const wanted = time ?? oplog.last;
      const key = keyOf(wanted);
      const known = kept.get(key);
      if (known !== undefined) return known;
      if (compareTimes(wanted, oplog.last) < 0) throw tooOld();
      const snapshot: Snapshot = {
        time: wanted,
        commit: catalog.openSnapshot(),
        check() {
          if (kept.get(key) !== snapshot) throw tooOld();
        },
      };
      kept.set(key, snapshot);
      timers.set(key, setTimeout(() => release(key), WINDOW_MS).unref());
      return snapshot;
    },
    stop() {
      for (const key of [...kept.keys()]) release(key);
    },
  };
}
