import type { Binary, Document } from 'bson';
import { decode } from '../values/bson.ts';
import { rawKey } from '../wire/raw.ts';
import {
  type CollectionIndex,
  createCollectionIndex,
  type IndexKeys,
  type IndexSpec,
  indexStored,
} from './collection-index.ts';
import { createRawKeys } from './raw-keys.ts';
import { createRecords, type Records } from './records.ts';
import { type CommitCounter, createVersions } from './versions.ts';

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
  /** The same of its bytes. */
  keysOfRaw(raw: Buffer): IndexKeys;
  /** A record other than `self` that a unique index forbids beside these keys. */
  conflict(
    keys: IndexKeys,
    self?: number,
  ): { readonly index: CollectionIndex; readonly id: number; readonly key: string } | undefined;
  nextRecordId(): number;
  /** Puts a copy of a document in its place; `keys` are its own, already checked. */
  put(id: number, raw: Buffer, keys: IndexKeys): void;
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

/** A document's place by its id, and its id in its slab's list. */
const RECORD_OVERHEAD_BYTES = 24;

/** The indexes of a collection, and the keys that documents have in them. */
function createIndexes() {
  const idIndex = createCollectionIndex(ID_INDEX);
  const all = new Map([[ID_INDEX.name, idIndex]]);
  let fields: ReadonlySet<string> | undefined;
  let rawKeys: ReturnType<typeof createRawKeys>;
  const look = () => {
    fields = fieldsOf(all.values());
    rawKeys = createRawKeys([...all.values()]);
  };
  look();

  const keysOf = (document: Document): IndexKeys => {
    const keys = new Map<CollectionIndex, readonly string[]>();
    for (const index of all.values()) keys.set(index, index.keysOf(document));
    return keys;
  };
  const decodeKeys = (raw: Buffer): Document => {
    if (fields === undefined) return decode(raw);
    // Where `_id` alone is indexed there is nothing to look for: it stands first.
    return fields.size === 1 ? decode(rawKey(raw)) : decode(raw, fields);
  };
  return {
    idIndex,
    all,
    keysOf,
    decodeKeys,
    keysOfRaw: (raw: Buffer): IndexKeys => rawKeys?.(raw) ?? keysOf(decodeKeys(raw)),
    set(index: CollectionIndex): void {
      all.set(index.spec.name, index);
      look();
    },
    remove(name: string): void {
      all.delete(name);
      look();
    },
    replaceSpec(name: string, spec: IndexSpec): void {
      const index = all.get(name);
      // The spec's own fields change (hidden, expireAfterSeconds); the keys stay.
      if (index !== undefined) Object.assign(index, { spec });
    },
    bytes(): number {
      let held = 0;
      for (const index of all.values()) held += index.keys.bytes;
      return held;
    },
  };
}

function conflictOf(keys: IndexKeys, self: number | undefined): ReturnType<Collection['conflict']> {
  for (const [index, wanted] of keys) {
    if (!index.spec.unique) continue;
    const owner = index.owner(wanted);
    if (owner !== undefined && owner.id !== self) return { index, ...owner };
  }
  return undefined;
}

type Changes = Pick<Collection, 'records' | 'put' | 'remove' | 'putAll' | 'follow'> & { readonly bytes: () => number };

/** The documents, and what follows from a change of them. */
function createChanges(
  keysOfRaw: (raw: Buffer) => IndexKeys,
  keepVersion: (id: number, raw?: Buffer) => void,
): Changes {
  const records = createRecords();
  let bytes = 0;
  let follower: Parameters<Collection['follow']>[0];

  /** Takes what is there out of the indexes, so that `after` can take its place. */
  const leave = (id: number, after: Buffer | undefined): void => {
    const before = records.get(id);
    keepVersion(id, before);
    follower?.(id, before, after);
    if (before === undefined) return;
    for (const [index, keys] of keysOfRaw(before)) index.remove(keys, id);
    bytes -= before.length;
  };
  const enter = (id: number, raw: Buffer, keys: IndexKeys): void => {
    for (const [index, own] of keys) index.add(own, id);
    bytes += raw.length;
    records.set(id, raw);
  };
  return {
    records,
    bytes: () => bytes,
    put(id, raw, keys) {
      leave(id, raw);
      enter(id, raw, keys);
    },
    remove(id) {
      if (!records.has(id)) return;
      leave(id, undefined);
      records.delete(id);
    },
    putAll(changes) {
      for (const [id, raw] of changes) leave(id, raw);
      for (const [id, raw] of changes) {
        if (raw === undefined) records.delete(id);
        else enter(id, raw, keysOfRaw(raw));
      }
    },
    follow(hear) {
      follower = hear;
    },
  };
}

export function createCollection(
  db: string,
  name: string,
  uuid: Binary,
  options: CollectionOptions,
  commits: CommitCounter,
): Collection {
  const indexes = createIndexes();
  const versions = createVersions(commits);
  const { bytes, ...changes } = createChanges(indexes.keysOfRaw, versions.keep);
  const { records } = changes;
  const state = { db, name, options, lastId: 0, dropped: false, createdAt: commits.current };

  return {
    uuid,
    idIndex: indexes.idIndex,
    indexes: indexes.all,
    ...changes,
    keysOf: indexes.keysOf,
    keysOfRaw: indexes.keysOfRaw,
    decodeKeys: indexes.decodeKeys,
    conflict: conflictOf,
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
      return bytes();
    },
    get heldBytes() {
      return records.heldBytes + records.size * RECORD_OVERHEAD_BYTES + indexes.bytes();
    },
    get dropped() {
      return state.dropped;
    },
    nextRecordId() {
      state.lastId += 1;
      return state.lastId;
    },
    at: (id, snapshot) => versions.at(id, snapshot, records),
    isChangedSince: versions.isChangedSince,
    changedSince: versions.changedSince,
    forgetVersions: versions.forget,
    addIndex(spec, matchesPartial) {
      const index = createCollectionIndex(spec, matchesPartial);
      for (const [id, raw] of records) indexStored(index, `${state.db}.${state.name}`, decode(raw), id);
      indexes.set(index);
    },
    adoptIndex: indexes.set,
    removeIndex: indexes.remove,
    replaceIndexSpec: indexes.replaceSpec,
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
