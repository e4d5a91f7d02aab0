import {
  type Cor,
  type NewNumber,
  type NumberCorrected,
  type NumberItem,
  type NumberRemoved,
  topicOf,
} from '../protocol/messages.ts';
import type { Position } from '../protocol/position.ts';
import {
  identityOf,
  idInTable,
  integerOf,
  isAmbiguous,
  isObjectId,
  isoOf,
  MAX_TEXT,
  madeMsOf,
  nameOf,
  parseTimestamp,
  type RawDocument,
} from './bson-value.ts';
import { accept, extraItem, extraOfNumber, type Parsed, type Source, skip, smallValue, tableOf } from './source.ts';
import type { ResolveTable, TableId } from './table.ts';
import { colourOf, DOUBLE_ZERO, DOUBLE_ZERO_LABEL, isOnWheel, labelOf } from './wheel.ts';

/** One result document, read. */
export interface StoredNumber {
  /** Identity of its `_id` within its collection (`keyOf`). */
  readonly key: string;
  /** The `_id` as the wire writes it. */
  readonly id: string;
  /** The process that made the `_id`, where it tells. */
  readonly maker: string | null;
  readonly table: TableId;
  readonly name: string | null;
  readonly numero: number;
  readonly cor: Cor;
  readonly timestampMs: number;
  /** Fields of the writer's own that are passed through, small and as they are stored. */
  readonly extra?: RawDocument;
  /** Fields as they are stored that are not shown, and decide what the document says after an update of others. */
  readonly deciding?: RawDocument;
}

/** A number that was read, and its place: what its document says is all that is kept of it. */
export interface NumberDocument {
  readonly kind: 'number';
  /** `database.collection`. */
  readonly ns: string;
  /** Identity of its `_id` (`keyOf`). */
  readonly key: string;
  /** `_id` as it is stored; undefined for an ObjectId, whose digits are the key: one object less for each number. */
  readonly id: unknown;
  readonly source: Source;
  readonly table: TableId;
  readonly number: StoredNumber;
}

/** Written out, not spread: this is done for every number of a start. */
export const numberDocumentOf = (ns: string, source: Source, id: unknown, number: StoredNumber): NumberDocument => ({
  kind: 'number',
  ns,
  key: number.key,
  id: isObjectId(id) ? undefined : id,
  source,
  table: number.table,
  number,
});

/**
 * The number that a value says: 0 to 36, or 37 for the double zero, which is the text "00", or 37 in a document whose
 * label (`rotulo`) is "00". Null for everything else.
 */
export function numeroFrom(value: unknown, label: unknown): number | null {
  if (typeof value === 'string' && value.trim() === DOUBLE_ZERO_LABEL) return DOUBLE_ZERO;
  const numero = integerOf(value);
  if (numero === DOUBLE_ZERO) return label === DOUBLE_ZERO_LABEL ? numero : null;
  return numero !== null && isOnWheel(numero) ? numero : null;
}

/** Clocks of a wheel's provider, a scraper and a database differ by less. */
const MAX_AHEAD_MS = 5 * 60_000;

/** A time that a document gives, or that of its making where it is dated further ahead of that than clocks differ. */
function believable(document: RawDocument, timestampMs: number): number {
  const id = document['_id'];
  const madeMs = isObjectId(id) ? madeMsOf(id) : parseTimestamp(document['criado_em']);
  return madeMs !== null && timestampMs > madeMs + MAX_AHEAD_MS ? madeMs : timestampMs;
}

/**
 * When a document says that it happened, epoch milliseconds; null when it does not. One that is dated further ahead of
 * its own making (its ObjectId, else `criado_em`) than clocks differ happened when it was made: a wrong zone, year or
 * clock would keep it first in every list until that date.
 */
export function instantOf(document: RawDocument): number | null {
  const timestampMs = parseTimestamp(document['timestamp']);
  return timestampMs === null ? null : believable(document, timestampMs);
}

/** What of a document only shows when another field of it is updated; undefined for most of them. */
function decidingOf(document: RawDocument, numero: number, aheadMs: number | null): RawDocument | undefined {
  const { _id, criado_em, rotulo } = document;
  const isDated = criado_em !== undefined && !isObjectId(_id);
  const isLabelled = rotulo === DOUBLE_ZERO_LABEL;
  if (!isDated && !isLabelled && aheadMs === null) return undefined;
  return {
    ...(isDated ? { criado_em: smallValue(criado_em) } : {}),
    ...(isLabelled ? { rotulo, ...(numero === DOUBLE_ZERO ? { numero: document['numero'] } : {}) } : {}),
    ...(aheadMs === null ? {} : { timestamp: new Date(aheadMs) }),
  };
}

/**
 * Reads a number from a document of `roleta_numeros` or of a table's own collection, whose name then gives the table.
 * The colour follows from the number, whatever the writer put. Never throws. `resolve` is asked for UUIDs.
 */
export function numberFrom(document: RawDocument, source: Source, resolve?: ResolveTable): Parsed<StoredNumber> {
  switch (source.kind) {
    case 'strategies':
    case 'roletas':
    case 'metadados':
      return skip('wrong_source');
    case 'numbers':
    case 'table-numbers':
      break;
    default:
      return source satisfies never;
  }
  const table = source.kind === 'table-numbers' ? accept(source.table) : tableOf(document['roleta_id'], resolve);
  if (!table.ok) return table;
  const given = document['numero'];
  if (given === undefined || given === null || given === '') return skip('no_number');
  const numero = numeroFrom(given, document['rotulo']);
  if (numero === null) return skip('bad_number');
  const at = document['timestamp'];
  if (at === undefined || at === null || at === '') return skip('no_timestamp');
  const givenMs = parseTimestamp(at);
  if (givenMs === null) return skip('bad_timestamp');
  const timestampMs = believable(document, givenMs);
  const id = document['_id'];
  if (id === undefined) return skip('bad_id');
  const { key, wireId, maker } = identityOf(id);
  if (wireId === '' || wireId.length > MAX_TEXT || isAmbiguous(key)) return skip('bad_id');
  const extra = extraOfNumber(document, source);
  const deciding = decidingOf(document, numero, timestampMs === givenMs ? null : givenMs);
  return accept({
    key,
    // The same `_id` may be in the shared collection too, for another document.
    id: source.kind === 'table-numbers' ? idInTable(wireId, source.table) : wireId,
    maker: sameText('maker', maker),
    table: sameTable(table.value),
    name: sameText('name', nameOf(document['roleta_nome'])),
    numero,
    cor: colourOf(numero),
    timestampMs,
    ...(extra === undefined ? {} : { extra }),
    ...(deciding === undefined ? {} : { deciding }),
  });
}

/** Numbers that come one after the other are mostly of one name and one maker: one text for all of them is kept. */
const lastTexts: { name: string | null; maker: string | null } = { name: null, maker: null };

function sameText(field: keyof typeof lastTexts, text: string | null): string | null {
  if (lastTexts[field] !== text) lastTexts[field] = text;
  return lastTexts[field];
}

let lastTable: TableId | null = null;

/** One text for the numbers of a table that come one after the other. */
function sameTable(table: TableId): TableId {
  if (lastTable !== table) lastTable = table;
  return lastTable;
}

/** The age from which a number is no live event any more, unless configured otherwise. */
export const DEFAULT_LIVE_MAX_AGE_MS = 120_000;

/**
 * Whether a number was old when it was committed: an import or a migration, which enters the state but is no spin.
 * `committedMs` is the time of the commit by the server's clock, so that every instance decides alike.
 */
export const isBackfill = (timestampMs: number, committedMs: number, liveMaxAgeMs: number): boolean =>
  committedMs - timestampMs > liveMaxAgeMs;

/** Numbers from which it is told that the clock of a scraper is off. */
export const OFF_IN_A_ROW = 5;
/** How far apart their ages may be, ms: some scrapers cut the seconds off; those of an import differ more. */
const MAX_SPREAD_MS = 75_000;

/**
 * By how much the last numbers of a table are dated before they were stored, ms: the least of their ages. Null where
 * there are too few, or their ages differ as those of an import do.
 */
export function offsetOf(ages: readonly number[]): number | null {
  const last = ages.slice(-OFF_IN_A_ROW);
  const isSteady = Math.max(...last) - Math.min(...last) <= MAX_SPREAD_MS;
  return last.length === OFF_IN_A_ROW && isSteady ? Math.min(...last) : null;
}

/** Orders the numbers of one table, newest first: by their own timestamp, then by the identity of their `_id`. */
export function newerFirst(
  a: Pick<StoredNumber, 'timestampMs' | 'key'>,
  b: Pick<StoredNumber, 'timestampMs' | 'key'>,
): number {
  if (a.timestampMs !== b.timestampMs) return b.timestampMs - a.timestampMs;
  if (a.key === b.key) return 0;
  return a.key < b.key ? 1 : -1;
}

/**
 * Whether a number is probably the table's previous one, inserted again: it is equal, and either came sooner than a
 * wheel can spin or stems from another process (a scraper that restarted). It is marked, never dropped: real repeats
 * happen. `previous` is the number before it in the table's order, null when there is none or none is known.
 */
export function isSuspect(
  number: Pick<StoredNumber, 'numero' | 'timestampMs' | 'maker'>,
  previous: Pick<StoredNumber, 'numero' | 'timestampMs' | 'maker'> | null,
  minSpinIntervalMs: number,
): boolean {
  if (previous === null || previous.numero !== number.numero) return false;
  if (Math.abs(number.timestampMs - previous.timestampMs) < minSpinIntervalMs) return true;
  return number.maker !== null && previous.maker !== null && number.maker !== previous.maker;
}

/** The position of an event, and what its table is called there; a table without a name is called by its id. */
export interface EventPlace {
  readonly position: Position;
  readonly prev: Position | null;
  readonly name: string | null;
}

const SUSPECT = { suspeito: true } as const;

/** A number as snapshots and history list it. */
export function numberItem(number: StoredNumber, suspect: boolean): NumberItem {
  const { id, numero, cor, timestampMs, extra } = number;
  const item = { id, numero, ...labelOf(numero), cor, timestamp: isoOf(timestampMs) };
  // A writer's own fields come last, so that reading an item by its schema keeps their place.
  return { ...item, ...(suspect ? SUSPECT : {}), ...extraItem(extra) };
}

/** Written out field by field: of all messages this one is made most, and spreading objects cost a fifth of it. */
function numberMessage<T extends 'new_number' | 'number_corrected'>(
  type: T,
  { id, table, numero, cor, timestampMs, extra }: StoredNumber,
  suspect: boolean,
  { position, prev, name }: EventPlace,
) {
  const message = {
    type,
    topic: topicOf(table),
    position,
    prev,
    id,
    roleta_id: table,
    roleta_nome: name ?? table,
    numero,
    cor,
    timestamp: isoOf(timestampMs),
  };
  if (numero === DOUBLE_ZERO || extra !== undefined) {
    return { ...message, ...labelOf(numero), ...(suspect ? SUSPECT : {}), ...extraItem(extra) };
  }
  return suspect ? { ...message, ...SUSPECT } : message;
}

export const newNumber = (number: StoredNumber, suspect: boolean, place: EventPlace): NewNumber =>
  numberMessage('new_number', number, suspect, place);

export const numberCorrected = (number: StoredNumber, suspect: boolean, place: EventPlace): NumberCorrected =>
  numberMessage('number_corrected', number, suspect, place);

export const numberRemoved = (
  { id, table }: Pick<StoredNumber, 'id' | 'table'>,
  { position, prev, name }: EventPlace,
): NumberRemoved => ({
  type: 'number_removed',
  topic: topicOf(table),
  position,
  prev,
  id,
  roleta_id: table,
  roleta_nome: name ?? table,
});
