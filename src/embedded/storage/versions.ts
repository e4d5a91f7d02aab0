import type { Records } from './records.ts';

/** Commits are numbered over all collections, so that a snapshot is one number. */
export interface CommitCounter {
  current: number;
  /** Snapshots in use; no versions are kept when there are none. */
  openSnapshots: number;
}

/** A document's state before a change, kept while a snapshot that may still want it is open. */
interface Version {
  /** Number of the commit that replaced it. */
  readonly until: number;
  readonly raw: Buffer | undefined;
}

/** What the documents of a collection were before, for snapshots. */
export interface Versions {
  /** `raw` is about to be replaced; undefined where there was nothing. */
  keep(id: number, raw: Buffer | undefined): void;
  /** The document as it was at a snapshot; as it is now where it has not changed since. */
  at(id: number, snapshot: number, now: Records): Buffer | undefined;
  isChangedSince(id: number, snapshot: number): boolean;
  /** Records changed since that snapshot. */
  changedSince(snapshot: number): number[];
  forget(): void;
}

export function createVersions(commits: CommitCounter): Versions {
  const versions = new Map<number, Version[]>();
  const isChangedSince = (id: number, snapshot: number) =>
    versions.get(id)?.some((version) => version.until > snapshot) === true;
  return {
    keep(id, raw) {
      if (commits.openSnapshots === 0) return;
      const kept = versions.get(id) ?? [];
      kept.push({ until: commits.current, raw });
      versions.set(id, kept);
    },
    at(id, snapshot, now) {
      const kept = versions.get(id)?.find((version) => version.until > snapshot);
      return kept === undefined ? now.get(id) : kept.raw;
    },
    isChangedSince,
    changedSince: (snapshot) => [...versions.keys()].filter((id) => isChangedSince(id, snapshot)),
    forget: () => versions.clear(),
  };
}
