import { ObjectId } from 'mongodb';
import type { SkipReason } from '../protocol/delivery.ts';
import { isAmbiguous, type RawDocument } from '../roulette/bson-value.ts';
import { type NumberDocument, numberDocumentOf, numberFrom } from '../roulette/number.ts';
import type { UpdateDescription } from '../roulette/patch.ts';
import { relevantFields, type Source, tableFrom, tableOf } from '../roulette/source.ts';
import { type StoredStrategy, strategyFrom } from '../roulette/strategy.ts';
import type { ResolveTable, TableId } from '../roulette/table.ts';
import { DOUBLE_ZERO, DOUBLE_ZERO_LABEL } from '../roulette/wheel.ts';
import type { Fields, Namespace } from './change.ts';

interface Common {
  readonly ns: Namespace;
  /** Identity of the `_id` within its collection. */
  readonly key: string;
  /** `_id` as it is stored. */
  readonly id: unknown;
  readonly source: Source;
}

interface WithFields extends Common {
  /** The few fields worth keeping, so that in-place updates can be applied without a look-up. */
  readonly fields: Fields;
}

/** What the state keeps of one document: the fields that matter, and what they mean. */
export type StateDocument =
  | NumberDocument
  | (WithFields & { readonly kind: 'strategy'; readonly table: TableId; readonly strategy: StoredStrategy })
  /** Says nothing that can be read, but an update may mend it. */
  | (WithFields & {
      readonly kind: 'malformed';
      readonly table: null;
      /** The table that it names all the same. */
      readonly named: TableId | null;
      readonly reason: SkipReason;
    })
  | (WithFields & {
      readonly kind: 'table';
      /** Null while only a UUID of a table that nobody named yet is known. */
      readonly table: TableId | null;
      readonly uuid: string | null;
      readonly name: string | null;
      readonly doubleZero: boolean;
      readonly collection: string | null;
      readonly strategy: StoredStrategy | null;
    });

export type StrategyDocument = Extract<StateDocument, { kind: 'strategy' }>;
export type TableDocument = Extract<StateDocument, { kind: 'table' }>;
type MalformedDocument = Extract<StateDocument, { kind: 'malformed' }>;

/** The tables that a document concerns: its own, or the one that it names although it says nothing. */
export const namedTable = (document: StateDocument): TableId | null =>
  document.kind === 'malformed' ? document.named : document.table;

/** A document of which nothing is known but that it is there. */
function unreadableDocument(ns: Namespace, source: Source, key: string, id: unknown): MalformedDocument {
  const named = source.kind === 'table-numbers' ? source.table : null;
  return { kind: 'malformed', ns, key, id, source, fields: {}, table: null, named, reason: 'unreadable' };
}

/** Reads a document of a watched collection. Never throws: what cannot be read is malformed. */
export function documentOf(
  ns: Namespace,
  source: Source,
  key: string,
  document: RawDocument,
  resolve: ResolveTable,
): StateDocument {
  const id = document['_id'];
  if (isAmbiguous(key)) return { ...unreadableDocument(ns, source, key, id), reason: 'bad_id' };
  try {
    return readDocument({ ns, key, id, source }, document, resolve);
  } catch {
    // Whatever odd value a rule stumbles over costs this document and no other.
    return unreadableDocument(ns, source, key, id);
  }
}

function readDocument(common: Common, document: RawDocument, resolve: ResolveTable): StateDocument {
  const { source } = common;
  const isNumber = source.kind === 'numbers' || source.kind === 'table-numbers';
  if (isNumber) {
    const parsed = numberFrom(document, source, resolve);
    if (parsed.ok) return numberDocumentOf(common.ns, source, common.id, parsed.value);
    const named = source.kind === 'table-numbers' ? source.table : namedIn(document, resolve);
    const fields = relevantFields(document, source);
    return { ...common, kind: 'malformed', fields, table: null, named, reason: parsed.reason };
  }
  const fields = relevantFields(document, source);
  const malformed = (reason: SkipReason): StateDocument => ({
    ...common,
    kind: 'malformed',
    fields,
    table: null,
    named: namedIn(fields, resolve),
    reason,
  });
  // A table document without a state is the normal case, not a malformed strategy.
  const strategy = strategyFrom(fields, source, resolve);
  if (source.kind === 'strategies') {
    if (!strategy.ok) return malformed(strategy.reason);
    return { ...common, fields, kind: 'strategy', table: strategy.value.table, strategy: strategy.value };
  }
  const parsed = tableFrom(fields, source);
  if (!parsed.ok) return malformed(parsed.reason);
  const { uuid, name, doubleZero, collection } = parsed.value;
  const table = parsed.value.table ?? (uuid === null ? null : resolve(uuid));
  const state = strategy.ok ? strategy.value : null;
  return { ...common, fields, kind: 'table', table, uuid, name, doubleZero, collection, strategy: state };
}

function namedIn(document: RawDocument, resolve: ResolveTable): TableId | null {
  const table = tableOf(document['roleta_id'], resolve);
  return table.ok ? table.value : null;
}

/**
 * The document as far as it matters, for an update to be applied to. A number that reads well is kept as what it says:
 * its fields beside that would double what the state of a table takes, and reading them costs every live number.
 */
export function fieldsOf(document: StateDocument): Fields {
  if (document.kind !== 'number') return document.fields;
  const { id, number } = document;
  return {
    _id: id === undefined ? new ObjectId(number.key) : id,
    roleta_id: number.table,
    roleta_nome: number.name,
    numero: number.numero === DOUBLE_ZERO ? DOUBLE_ZERO_LABEL : number.numero,
    // A Date, since a number of ms may be read as seconds.
    timestamp: new Date(number.timestampMs),
    ...number.extra,
    ...number.deciding,
  };
}

/** The fields that an update touches, dotted as the server gave them. */
export function touchedFields(update: UpdateDescription): string[] {
  const truncated = (update.truncatedArrays ?? []).map(({ field }) => field);
  return [...Object.keys(update.updatedFields ?? {}), ...(update.removedFields ?? []), ...truncated];
}

/** Whether the update may move its document to another table. */
export const movesTable = (touched: readonly string[]): boolean =>
  touched.some((field) => field === 'roleta_id' || field.startsWith('roleta_id.'));

/** What is known of a document as it was: all, not all, or not even its table. */
export type Before = 'known' | 'unknown' | 'unplaced';

/** Stands for a whole document whose former content is not known. */
export const WHOLE = '';
/** Stands for a document that was read later than the stream is: its table is known until a change moves it. */
export const REREAD = '*';

/**
 * Which fields of which documents are not known yet: the database at rest was read after an update that is still to be
 * applied, so what they said before it cannot be told.
 */
export interface Unknowns {
  mark(ns: Namespace, key: string, fields: readonly string[]): void;
  /** These fields were set: they, and what lies below them, are known from now on. */
  determine(ns: Namespace, key: string, fields: readonly string[]): void;
  /** What is known of the document before a change; `moves` when that may give it another table. */
  before(ns: Namespace, key: string, moves: boolean): Before;
  forget(ns: Namespace, key: string): void;
  clear(): void;
}

export function createUnknowns(): Unknowns {
  const open = new Map<string, Set<string>>();
  const idOf = (ns: Namespace, key: string): string => `${ns}|${key}`;
  return {
    mark(ns, key, fields) {
      const id = idOf(ns, key);
      const paths = open.get(id) ?? new Set<string>();
      for (const field of fields) paths.add(field);
      open.set(id, paths);
    },
    determine(ns, key, fields) {
      if (open.size === 0) return;
      const paths = open.get(idOf(ns, key));
      for (const path of paths ?? []) {
        if (fields.some((field) => path === field || path.startsWith(`${field}.`))) paths?.delete(path);
      }
    },
    before(ns, key, moves) {
      if (open.size === 0) return 'known';
      const paths = open.get(idOf(ns, key));
      if (paths === undefined || paths.size === 0) return 'known';
      if (paths.has(WHOLE) || paths.has('roleta_id') || (moves && paths.has(REREAD))) return 'unplaced';
      return 'unknown';
    },
    forget: (ns, key) => void open.delete(idOf(ns, key)),
    clear: () => open.clear(),
  };
}
