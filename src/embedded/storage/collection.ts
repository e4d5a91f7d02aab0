import type { Binary, Document } from 'bson';
import { decode } from '../values/bson.ts';
import { rawKey } from '../wire/raw.ts';
import { type CollectionIndex, createCollectionIndex, type IndexSpec, indexStored } from './collection-index.ts';
import { createRecords, type Records } from './records.ts';

/** A document's state before a change, kept while a snapshot that may still want it is open. */
interface Version {
  /** Number of the commit that replaced it. */
  readonly until: number;
  readonly raw: Buffer | undefined;
}

/** Commits are numbered over all collections, so that a snapshot is one number. */
export interface CommitCounter {
  current: number;
  /** Snapshots in use; no versions are kept when there are none. */
  openSnapshots: number;
}

export interface CollectionOptions {
  readonly capped?: { readonly size: number; readonly max: number | undefined };
  /** `create` options as listCollections shows them. */
  readonly shown: Document;
  readonly preImages: boolean;
  readonly view?: { readonly on: string; readonly pipeline: readonly Document[] };
  readonly validator?: (document: Document) => boolean;
}

export interface Collection {
  readonly uuid: Binary;
  readonly db: string;
  readonly name: string;
  readonly namespace: string;
  readonly options: CollectionOptions;
  readonly indexes: ReadonlyMap<string, CollectionIndex>;
  readonly idIndex: CollectionIndex;
  /** Record id to raw document, in the order of insertion. */
  readonly records: Records;
  readonly bytes: number;
  /** Memory that the documents and their indexes take, about. */
  readonly heldBytes: number;
  /** Commit number at which it came to be. */
  readonly createdAt: number;
  /** It comes to be with the current commit. */
  markCreated(): void;
  readonly dropped: boolean;
  /** As much of a document as its indexes and their filters ask for. */
  decodeKeys(raw: Buffer): Document;
  /** Keys, by index, of a document that is about to be stored. @throws CommandError 171 */
  keysOf(document: Document): IndexKeys;
  /** A record other than `self` that a unique index forbids beside these keys. */
  conflict(
    keys: IndexKeys,
    self?: number,
  ): { readonly index: CollectionIndex; readonly id: number; readonly key: string } | undefined;
  nextRecordId(): number;
  /** Puts a copy of a document in its place; `keys` are its own, already checked. @returns a view of the copy */
  put(id: number, raw: Buffer, keys: IndexKeys): Buffer;
  remove(id: number): void;
  /** Applies a transaction's changes; undefined removes. Unique keys may move between its documents. */
  putAll(changes: ReadonlyMap<number, Buffer | undefined>): void;
  /** The document as it was at a snapshot. */
  at(id: number, snapshot: number): Buffer | undefined;
  isChangedSince(id: number, snapshot: number): boolean;
  /** Records changed since that snapshot. */
  changedSince(snapshot: number): number[];
  forgetVersions(): void;
  /** Builds an index at once. @throws CommandError 11000 */
  addIndex(spec: IndexSpec, matchesPartial?: (document: Document) => boolean): void;
  /** Tells of every change of a record before it is made, until it is called with nothing: for an index build. */
  follow(hear: ((id: number, before: Buffer | undefined, after: Buffer | undefined) => void) | undefined): void;
  /** Begins to use an index that holds all records already. */
  adoptIndex(index: CollectionIndex): void;
  removeIndex(name: string): void;
  replaceIndexSpec(name: string, spec: IndexSpec): void;
  rename(db: string, name: string): void;
  setOptions(options: CollectionOptions): void;
  markDropped(): void;
}

/** Where a change of the collection was made, as the oplog has it. */
export const placeOf = ({
  db,
  name,
  uuid,
}: Collection): { readonly db: string; readonly coll: string; readonly uuid: Binary } => ({
  db,
  coll: name,
  uuid,
});

export type IndexKeys = ReadonlyMap<CollectionIndex, readonly string[]>;

/** The fields that the keys of these indexes are made of; undefined when a filter may ask for any. */
function fieldsOf(indexes: Iterable<CollectionIndex>): ReadonlySet<string> | undefined {
  const names = new Set(['_id']);
  for (const { spec, fields } of indexes) {
    if (spec.options['partialFilterExpression'] !== undefined) return undefined;
    for (const { path } of fields) names.add(path.split('.', 1)[0] ?? path);
  }
  return names;
}

const ID_INDEX: IndexSpec = { name: '_id_', key: { _id: 1 }, unique: true, sparse: false, options: {} };

/** A document's place in the map of places and in its slab's list. */
const RECORD_OVERHEAD_BYTES = 56;

export function createCollection(
  db: string,
  name: string,
  uuid: Binary,
  options: CollectionOptions,
  commits: CommitCounter,
): Collection {
  const records = createRecords();
  const idIndex = createCollectionIndex(ID_INDEX);
  const indexes = new Map([[ID_INDEX.name, idIndex]]);
  const versions = new Map<number, Version[]>();
  const state = { db, name, options, bytes: 0, lastId: 0, dropped: false, createdAt: commits.current };

  const keepVersion = (id: number) => {
    if (commits.openSnapshots === 0) return;
    const kept = versions.get(id) ?? [];
    kept.push({ until: commits.current, raw: records.get(id) });
    versions.set(id, kept);
  };

  const keysOf = (document: Document): IndexKeys => {
    const keys = new Map<CollectionIndex, readonly string[]>();
    for (const index of indexes.values()) keys.set(index, index.keysOf(document));
    return keys;
  };

  let follower: Parameters<Collection['follow']>[0];
  let keyFields: ReadonlySet<string> | undefined;
  const decodeKeys = (raw: Buffer): Document => {
    keyFields ??= fieldsOf(indexes.values());
    if (keyFields === undefined) return decode(raw);
    // Where `_id` alone is indexed there is nothing to look for: it stands first.
    return keyFields.size === 1 ? decode(rawKey(raw)) : decode(raw, keyFields);
  };

  const unindex = (id: number, raw: Buffer) => {
    for (const [index, keys] of keysOf(decodeKeys(raw))) index.remove(keys, id);
  };

  return {
    uuid,
    idIndex,
    indexes,
    records,
    get createdAt() {
      return state.createdAt;
    },
    markCreated() {
      state.createdAt = commits.current;
    },
    get db() {
      return state.db;
    },
    get name() {
      return state.name;
    },
    get namespace() {
      return `${state.db}.${state.name}`;
    },
    get options() {
      return state.options;
    },
    get bytes() {
      return state.bytes;
    },
    get heldBytes() {
      let held = records.heldBytes + records.size * RECORD_OVERHEAD_BYTES;
      for (const index of indexes.values()) held += index.keys.bytes;
      return held;
    },
    get dropped() {
      return state.dropped;
    },
    keysOf,
    conflict(keys, self) {
      for (const [index, wanted] of keys) {
        if (!index.spec.unique) continue;
        const owner = index.owner(wanted);
        if (owner !== undefined && owner.id !== self) return { index, ...owner };
      }
      return undefined;
    },
    nextRecordId() {
      state.lastId += 1;
      return state.lastId;
    },
    put(id, raw, keys) {
      keepVersion(id);
      const before = records.get(id);
      follower?.(id, before, raw);
      if (before !== undefined) {
        unindex(id, before);
        state.bytes -= before.length;
      }
      for (const [index, own] of keys) index.add(own, id);
      state.bytes += raw.length;
      return records.set(id, raw);
    },
    remove(id) {
      const before = records.get(id);
      if (before === undefined) return;
      follower?.(id, before, undefined);
      keepVersion(id);
      unindex(id, before);
      records.delete(id);
      state.bytes -= before.length;
    },
    putAll(changes) {
      for (const id of changes.keys()) {
        keepVersion(id);
        const before = records.get(id);
        follower?.(id, before, changes.get(id));
        if (before !== undefined) unindex(id, before);
        state.bytes -= before?.length ?? 0;
      }
      for (const [id, raw] of changes) {
        if (raw === undefined) records.delete(id);
        else {
          for (const [index, own] of keysOf(decodeKeys(raw))) index.add(own, id);
          records.set(id, raw);
          state.bytes += raw.length;
        }
      }
    },
    at(id, snapshot) {
      const kept = versions.get(id)?.find((version) => version.until > snapshot);
      return kept === undefined ? records.get(id) : kept.raw;
    },
    isChangedSince: (id, snapshot) => versions.get(id)?.some((version) => version.until > snapshot) === true,
    changedSince(snapshot) {
      const ids: number[] = [];
      for (const [id, kept] of versions) if (kept.some((version) => version.until > snapshot)) ids.push(id);
      return ids;
    },
    forgetVersions: () => versions.clear(),
    decodeKeys,
    addIndex(spec, matchesPartial) {
      const index = createCollectionIndex(spec, matchesPartial);
      for (const [id, raw] of records) indexStored(index, `${state.db}.${state.name}`, decode(raw), id);
      indexes.set(spec.name, index);
      keyFields = undefined;
    },
    follow(hear) {
      follower = hear;
    },
    adoptIndex(index) {
      indexes.set(index.spec.name, index);
      keyFields = undefined;
    },
    removeIndex(indexName) {
      indexes.delete(indexName);
      keyFields = undefined;
    },
    replaceIndexSpec(indexName, spec) {
      const index = indexes.get(indexName);
      // The spec's own fields change (hidden, expireAfterSeconds); the keys stay.
      if (index !== undefined) Object.assign(index, { spec });
    },
    rename(toDb, toName) {
      state.db = toDb;
      state.name = toName;
    },
    setOptions(changed) {
      state.options = changed;
    },
    markDropped() {
      state.dropped = true;
    },
  };
}
