import { type Document, Int32 } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { compileFilter } from '../query/filter.ts';
import { isDocument } from '../values/types.ts';
import { inverted, keyString } from './key-string.ts';
import { keysAtPaths } from './paths.ts';
import { shellText } from './shell-text.ts';
import { createSortedKeys, type SortedKeys } from './sorted-keys.ts';

export interface IndexField {
  readonly path: string;
  readonly descending: boolean;
}

/** An index as createIndexes asked for it. `options` is what listIndexes shows beside `v`, `key` and `name`. */
export interface IndexSpec {
  readonly name: string;
  readonly key: Document;
  readonly unique: boolean;
  readonly sparse: boolean;
  readonly expireAfterSeconds?: number;
  readonly options: Document;
}

/** An index as listIndexes shows it. */
export function indexDocument(spec: IndexSpec): Document {
  return { v: new Int32(2), ...spec.options, key: spec.key, name: spec.name };
}

export interface CollectionIndex {
  readonly spec: IndexSpec;
  readonly fields: readonly IndexField[];
  readonly keys: SortedKeys;
  /** Some document holds an array there: ranges cannot be intersected and order is not the sort's order. */
  readonly multikey: boolean;
  /** Whether documents are left out, so that the index alone cannot answer every question. */
  readonly partial: boolean;
  /** The keys of a document, without record ids. */
  keysOf(document: Document): string[];
  /** The same as `keys` holds them for that record. */
  entriesOf(document: Document, id: number): string[];
  add(keys: readonly string[], id: number): void;
  remove(keys: readonly string[], id: number): void;
  /** The record that already has one of these keys, for unique indexes. */
  owner(keys: readonly string[]): { readonly id: number; readonly key: string } | undefined;
  /** 11000, naming the first conflicting key of the document. */
  duplicateError(namespace: string, document: Document, key: string): CommandError;
}

/** The keys of one document, without record ids. */
export type IndexKeys = ReadonlyMap<CollectionIndex, readonly string[]>;

/** Sorts above every key that begins with the same bytes, because key characters end at 255. */
export const ABOVE = '\u0100';

function recordSuffix(id: number): string {
  const high = Math.floor(id / 0x1000000);
  const low = id % 0x1000000;
  return String.fromCharCode(
    (high >>> 16) & 255,
    (high >>> 8) & 255,
    high & 255,
    (low >>> 16) & 255,
    (low >>> 8) & 255,
    low & 255,
  );
}

const scratch = Buffer.allocUnsafeSlow(256);

/** V8 puts shorter texts together at once, https://github.com/v8/v8/blob/main/src/objects/string.h (ConsString::kMinLength). */
const MIN_ROPE = 13;

/** The same text in one piece: what was put together by `+` keeps all its parts in memory. */
function flat(key: string): string {
  if (key.length < MIN_ROPE) return key;
  if (key.length > scratch.length) return Buffer.from(key, 'latin1').toString('latin1');
  return scratch.toString('latin1', 0, scratch.write(key, 0, 'latin1'));
}

export function fieldKey(field: IndexField | undefined, value: unknown): string {
  const key = keyString(value);
  return field?.descending === true ? inverted(key) : key;
}

/** An ordered index over documents. `matchesPartial` says which documents belong to it. */
export function createCollectionIndex(
  spec: IndexSpec,
  matchesPartial?: (document: Document) => boolean,
): CollectionIndex {
  const fields = Object.entries(spec.key).map(([path, direction]) => ({ path, descending: Number(direction) < 0 }));
  const paths = fields.map((field) => field.path.split('.'));
  const keys = createSortedKeys();
  let multikey = false;

  const compoundKey = (values: readonly unknown[]): string => {
    if (values.length === 1) return fieldKey(fields[0], values[0]);
    return values.map((value, i) => fieldKey(fields[i], value)).join('');
  };
  const stored = (key: string, id: number) => flat(spec.unique ? key : key + recordSuffix(id));

  const index: CollectionIndex = {
    spec,
    fields,
    keys,
    partial: spec.sparse || matchesPartial !== undefined,
    get multikey() {
      return multikey;
    },
    keysOf(document) {
      if (matchesPartial !== undefined && !matchesPartial(document)) return [];
      const found = keysAtPaths(document, paths);
      const wanted = spec.sparse
        ? found.keys.filter((values) => values.some((value) => value !== undefined))
        : found.keys;
      if (!found.multikey) return wanted.map(compoundKey);
      multikey = true;
      return [...new Set(wanted.map(compoundKey))];
    },
    entriesOf: (document, id) => index.keysOf(document).map((key) => stored(key, id)),
    add(added, id) {
      for (const key of added) keys.insert(stored(key, id), id);
    },
    remove(removed, id) {
      for (const key of removed) keys.remove(stored(key, id));
    },
    owner(wanted) {
      for (const key of wanted) {
        const id = keys.get(key);
        if (id !== undefined) return { id, key };
      }
      return undefined;
    },
    duplicateError(namespace, document, key) {
      const values = keysAtPaths(document, paths).keys.find((one) => compoundKey(one) === key) ?? [];
      const keyValue: Document = {};
      fields.forEach(({ path }, i) => {
        keyValue[path] = values[i] ?? null;
      });
      const message = `E11000 duplicate key error collection: ${namespace} index: ${spec.name} dup key: ${shellText(keyValue)}`;
      return new CommandError(CODES.DuplicateKey, message, { keyPattern: spec.key, keyValue });
    },
  };
  return index;
}

/** Puts a stored document into an index that is being built. @throws CommandError 11000 */
export function indexStored(index: CollectionIndex, namespace: string, document: Document, id: number): void {
  const keys = index.keysOf(document);
  const owner = index.spec.unique ? index.owner(keys) : undefined;
  if (owner !== undefined) throw index.duplicateError(namespace, document, owner.key);
  index.add(keys, id);
}

/** Which documents a partial index holds; undefined for an index that holds all. */
export function partialFilter({ options }: IndexSpec): ((document: Document) => boolean) | undefined {
  const partial: unknown = options['partialFilterExpression'];
  return isDocument(partial) ? compileFilter(partial) : undefined;
}
