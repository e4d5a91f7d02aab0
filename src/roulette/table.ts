import { createHash } from 'node:crypto';
import { Binary } from 'bson';
import { integerOf, isBinary } from './bson-value.ts';

/** The canonical id of a table: 1 to 64 printable characters without spaces, always a string, compared exactly. */
export type TableId = string & { readonly __table: true };

/** Looks up a table by UUID or unambiguous name; null when unknown. */
export type ResolveTable = (reference: string) => TableId | null;

/** RunCash's own ids, which some of its writers prefix or suffix by the number of the provider, which is 2. */
const SEVEN_DIGITS = /^\d{7}$/;
const PREFIXED = /^2_(\d{7})$/;
const SUFFIXED = /^(\d{7})_2$/;
const PRINTABLE = /^[^\s\p{C}\p{Z}\uFFFD]{1,64}$/u;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
/** In UTF-16 units: beyond it nothing is looked at. */
const LONGEST_SPELLING = 200;
/** `*` stands for every table in a topic and in a token; no path of a URL can hold the others. */
const NO_IDS: ReadonlySet<string> = new Set(['*', '.', '..']);

/** Whether a text is a canonical id as it is: no other spelling of one, no UUID, and not `*`, `.` or `..`. */
export const isTableId = (text: string): text is TableId =>
  text.length <= LONGEST_SPELLING &&
  PRINTABLE.test(text) &&
  !NO_IDS.has(text) &&
  !UUID.test(text) &&
  !PREFIXED.test(text) &&
  !SUFFIXED.test(text);

/** Whether an id is one of RunCash's own, of seven digits, by which its per-table collections are named. */
export const isSevenDigits = (text: string): text is TableId => SEVEN_DIGITS.test(text);

const checked = (text: string): TableId | null => (isTableId(text) ? text : null);

const idOfText = (text: string): TableId | null =>
  checked(PREFIXED.exec(text)?.[1] ?? SUFFIXED.exec(text)?.[1] ?? text);

/** Documents that are read one after the other are mostly of one table. */
let lastText: { readonly value: string; readonly id: TableId | null } = { value: '', id: null };

/**
 * The id that a value says: text as it is without spaces around it, "2_2010165" and "2010165_2" as 2010165, an
 * integer of every numeric BSON type as decimal text. Null for everything else, also for a UUID.
 */
export function canonicalId(value: unknown): TableId | null {
  if (typeof value === 'string') {
    if (value.length > LONGEST_SPELLING) return null;
    if (value !== lastText.value) lastText = { value, id: idOfText(value.trim()) };
    return lastText.id;
  }
  const integer = integerOf(value);
  return integer === null ? null : checked(String(integer));
}

/**
 * The id that a value of a stored document says. As `canonicalId`, but a text with spaces around it says none: an index
 * finds a text exactly as it is, so what the stream took for the id would be missing from every read at rest.
 */
export const storedIdOf = (value: unknown): TableId | null =>
  typeof value === 'string' && value !== value.trim() ? null : canonicalId(value);

/** Of the BSON specification, for UUIDs; 3 has them in an order of bytes that depends on the driver. */
const UUID_SUBTYPE = 4;

const dashed = (hex: string): string =>
  [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');

/** A UUID in lower case, from text or from a BSON UUID; null for anything else. */
export function uuidTextOf(value: unknown): string | null {
  if (typeof value === 'string') {
    if (value.length > LONGEST_SPELLING) return null;
    const text = value.trim().toLowerCase();
    return UUID.test(text) ? text : null;
  }
  if (!isBinary(value) || value.length() !== 16) return null;
  return dashed(value.toString('hex'));
}

/** The UUID that a value of a stored document says: text in lower case, or a BSON UUID of subtype 4; null for all else. */
export function storedUuidOf(value: unknown): string | null {
  const uuid = uuidTextOf(value);
  return value === uuid || (isBinary(value) && value.sub_type === UUID_SUBTYPE) ? uuid : null;
}

/** The MD5 of a text, 32 hex digits. A fingerprint only: nothing here is secret. */
export const md5Of = (text: string): string => createHash('md5').update(text, 'utf8').digest('hex');

/** More tables than a service knows. */
const MAX_UUIDS = 10_000;
const uuids = new Map<TableId, string>();

/** The UUID under which older writers know a table: the MD5 of its canonical id, written as a UUID. */
export function uuidOf(id: TableId): string {
  const known = uuids.get(id);
  if (known !== undefined) return known;
  const uuid = dashed(md5Of(id));
  // A list of all tables asks for each of them.
  if (uuids.size >= MAX_UUIDS) uuids.clear();
  uuids.set(id, uuid);
  return uuid;
}

/**
 * Every value by which a stored document can name this table, but that numbers match each numeric type: those that
 * `storedIdOf` and `storedUuidOf` read, so that live and at rest the same documents are those of the table.
 */
export function spellingsOf(table: TableId): readonly unknown[] {
  const uuid = uuidOf(table);
  const integer = Number(table);
  return [
    table,
    ...(Number.isSafeInteger(integer) && String(integer) === table ? [integer] : []),
    ...(isSevenDigits(table) ? [`2_${table}`, `${table}_2`] : []),
    uuid,
    new Binary(Buffer.from(uuid.replaceAll('-', ''), 'hex'), UUID_SUBTYPE),
  ];
}

/**
 * The form in which names are compared: without case, accents and runs of spaces. Two tables may share it
 * ("VIP Roulette" is 2010097 and 2380117), so a name stands for every table that bears it.
 */
export function normaliseName(name: string): string {
  // The Turkish dotless i has no decomposition; a keyboard without it types "i".
  return name
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase()
    .replaceAll('ı', 'i')
    .replace(/\s+/g, ' ')
    .trim();
}

/** What is known about tables: their names, and what a reference in any spelling stands for. */
export interface Directory {
  /**
   * Notes a table, and its current name where one is given. `new`: the table was not known before; `named`: nobody could
   * find it by this name.
   */
  learn(table: TableId, name: string | null): 'new' | 'named' | 'known';
  /**
   * The tables that a reference means, ascending by id: the id of a known table in any spelling, seven digits (also of a
   * table not seen yet), a UUID of a known table, or a name that a table bears or bore. Empty when nothing is known by it.
   */
  resolve(reference: string): readonly TableId[];
  /** The current name; null when none was ever given. */
  nameOf(table: TableId): string | null;
  /** The names that a table bears or bore, the current one last, as they are compared: learned in this order they mean the same. */
  namesOf(table: TableId): readonly string[];
  has(table: TableId): boolean;
  /** All known tables, ascending by id. */
  tables(): readonly TableId[];
}

/** Names that one table can be found by; a writer that renames for ever must not fill the memory. */
const MAX_NAMES_PER_TABLE = 16;

/** An empty directory. */
export function createDirectory(): Directory {
  const current = new Map<TableId, string | null>();
  const namesOf = new Map<TableId, Set<string>>();
  const byName = new Map<string, Set<TableId>>();
  const byUuid = new Map<string, TableId>();

  /** True when the table could not be found by this name before. */
  const rename = (table: TableId, name: string): boolean => {
    current.set(table, name);
    const names = namesOf.get(table) ?? new Set<string>();
    namesOf.set(table, names);
    const normal = normaliseName(name);
    const isFound = names.delete(normal);
    names.add(normal);
    const bearers = byName.get(normal) ?? new Set<TableId>();
    byName.set(normal, bearers.add(table));
    const [oldest] = names;
    if (names.size <= MAX_NAMES_PER_TABLE || oldest === undefined) return !isFound;
    names.delete(oldest);
    const others = byName.get(oldest);
    others?.delete(table);
    if (others?.size === 0) byName.delete(oldest);
    return !isFound;
  };

  return {
    learn(table, name) {
      const isNew = !current.has(table);
      if (isNew) {
        current.set(table, null);
        byUuid.set(uuidOf(table), table);
      }
      const isNamed = name !== null && current.get(table) !== name && rename(table, name);
      return isNew ? 'new' : isNamed ? 'named' : 'known';
    },
    resolve(reference) {
      const id = canonicalId(reference);
      // An id goes before a name. Whether an unknown text is to be one or the other, only seven digits tell.
      if (id !== null && (current.has(id) || isSevenDigits(id))) return [id];
      const uuid = uuidTextOf(reference);
      if (uuid !== null) {
        const table = byUuid.get(uuid);
        return table === undefined ? [] : [table];
      }
      return [...(byName.get(normaliseName(reference)) ?? [])].sort();
    },
    nameOf: (table) => current.get(table) ?? null,
    namesOf: (table) => [...(namesOf.get(table) ?? [])],
    has: (table) => current.has(table),
    tables: () => [...current.keys()].sort(),
  };
}
