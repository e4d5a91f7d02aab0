import type { Filter } from 'mongodb';
import { keyOf, type RawDocument } from '../roulette/bson-value.ts';
import { bracketOf, latestBelow, type Span, spellingOf, speltOtherwise, TIMED, within } from './brackets.ts';
import type { Place, ReadDocuments } from './places.ts';

/** What selects the documents of a table in a collection, by an index that goes on with `timestamp`. */
export interface Line {
  readonly place: Place;
  readonly equals: Filter<RawDocument>;
  /** Leaves out what cannot be read anyhow; asked for where most of what came could not. */
  readonly readable?: Filter<RawDocument>;
}

/** The place of a document in the order of its table; collections break ties of equal keys. */
export interface RowMark {
  readonly ms: number;
  readonly key: string;
  readonly ns: string;
}

/** What a document is read as, with its place in the order. */
export interface ReadRow<T> {
  readonly ms: number;
  readonly key: string;
  readonly value: T;
}

/** A document with its place in the order and what it was read as. */
export interface Row<T> extends RowMark {
  readonly document: RawDocument;
  readonly value: T;
}

export interface NewestOptions<T> {
  readonly read: ReadDocuments;
  /** What a document is read as; null for one that does not count. */
  readonly parse: (document: RawDocument, place: Place) => ReadRow<T> | null;
  /** Documents asked for at first, and at most at once. */
  readonly depth: number;
  readonly maxDepth?: number;
  /** Documents without a timestamp count too; they come last. */
  readonly untimed?: boolean;
  readonly span?: Span;
  /** Rows that are known without a query, in any order. */
  readonly also?: readonly Row<T>[];
}

/** Newest first: by instant, then by the identity of the `_id`, with the collection as the last word. */
export function byMark(a: RowMark, b: RowMark): number {
  if (a.ms !== b.ms) return b.ms - a.ms;
  if (a.key !== b.key) return a.key < b.key ? 1 : -1;
  if (a.ns === b.ns) return 0;
  return a.ns < b.ns ? 1 : -1;
}

/** For `parse` to throw: so many documents were looked at in vain that it is given up. */
export class Impatient extends Error {
  override readonly name = 'Impatient';
}

/** Documents of one reply at most, and of one instant at most. */
const MAX_DEPTH = 10_000;
const MAX_TIE = 100_000;

/** One class of timestamps of a line, read from its newest document on. */
interface Range {
  readonly line: Line;
  readonly bracket: (typeof TIMED)[number];
  depth: number;
  /** `timestamp` of the last document read, and the keys of those read at it; `null` before the first. */
  lowest: { readonly value: unknown; readonly keys: Set<string>; readonly passed: boolean } | null;
  /** Most of what came last could not be read. */
  barren: boolean;
  /** No document that is still to come is later than this; -Infinity when none is. */
  unreadMs: number;
}

const rangeOf = (line: Line, bracket: Range['bracket'], depth: number): Range => ({
  line,
  bracket,
  depth,
  lowest: null,
  barren: false,
  unreadMs: Infinity,
});

/** Of documents read, those that were not among those before. */
const freshOf = (documents: readonly RawDocument[], lowest: Range['lowest']): readonly RawDocument[] =>
  lowest === null ? documents : documents.filter(({ _id }) => !lowest.keys.has(keyOf(_id)));

/** What selects the documents of a range that were not read yet. */
function unreadOf({ line, bracket, lowest, barren }: Range, span: Span): Filter<RawDocument> {
  const { timestamp: edges } = within(bracket, span);
  const below = lowest === null ? {} : lowest.passed ? { $lt: lowest.value } : { $lte: lowest.value };
  return {
    ...line.equals,
    timestamp: typeof edges === 'object' && edges !== null ? { ...edges, ...below } : below,
    ...(barren ? line.readable : {}),
  };
}

/** More documents of one instant than a reply holds: those last in the order of keys are beyond what is read. */
const readTie = (read: ReadDocuments, { place, equals }: Line, value: unknown): ReturnType<ReadDocuments> =>
  read(place, { ...equals, timestamp: value }, { _id: -1 }, MAX_TIE);

/** Whether the texts that follow those read are spelt as these are. */
async function isAlike(read: ReadDocuments, { line }: Range, documents: readonly RawDocument[]): Promise<boolean> {
  const lowest: unknown = documents.at(-1)?.['timestamp'];
  if (typeof lowest !== 'string') return false;
  const spelling = spellingOf(lowest);
  if (!documents.every(({ timestamp }) => typeof timestamp === 'string' && spellingOf(timestamp) === spelling)) {
    return false;
  }
  const otherwise = speltOtherwise(lowest);
  if (otherwise === null) return false;
  return (await read(line.place, { ...line.equals, ...otherwise }, { timestamp: -1 }, 1)).length === 0;
}

/**
 * The documents of several lines, newest first, in batches without holes: nothing between two of them is left out.
 * MongoDB sorts by the class and spelling of `timestamp` and not by its instant, so each class is read for itself, and
 * only what is newer than anything that may still come is handed on. Throws what `read` and `parse` throw.
 */
export async function* newestFirst<T>(
  lines: readonly Line[],
  options: NewestOptions<T>,
): AsyncGenerator<readonly Row<T>[], void, undefined> {
  const { read, parse, span = { fromMs: null, untilMs: null }, maxDepth = MAX_DEPTH } = options;
  let pending: Row<T>[] = [...(options.also ?? [])];

  const take = ({ place }: Line, documents: readonly RawDocument[]): number => {
    const before = pending.length;
    for (const document of documents) {
      const row = parse(document, place);
      // Written out, not spread: this is done for every number of a start.
      if (row !== null) pending.push({ ms: row.ms, key: row.key, ns: place.ns, document, value: row.value });
    }
    return pending.length - before;
  };

  /** Takes what came of a range; `full`: there may be more. */
  const took = async (range: Range, documents: readonly RawDocument[], full: boolean): Promise<void> => {
    const { line, lowest } = range;
    const fresh = freshOf(documents, lowest);
    range.barren = take(line, fresh) * 2 < fresh.length;
    const value = documents.at(-1)?.['timestamp'];
    if (!full) {
      range.unreadMs = -Infinity;
      return;
    }
    const ties = documents.filter(({ timestamp }) => isSame(timestamp, value)).map(({ _id }) => keyOf(_id));
    range.lowest = { value, keys: new Set(ties), passed: false };
    if (ties.length === documents.length) {
      take(line, freshOf(await readTie(read, line, value), range.lowest));
      range.lowest = { value, keys: new Set(), passed: true };
    }
    range.unreadMs = latestBelow(value, range.bracket !== 'text' || (await isAlike(read, range, documents)));
    range.depth = Math.min(maxDepth, range.depth * 2);
  };

  const readOn = async (range: Range): Promise<void> => {
    const { line, depth } = range;
    const documents = await read(line.place, unreadOf(range, span), { timestamp: -1 }, depth);
    await took(range, documents, documents.length === depth);
  };

  /** Mostly one query shows all that is wanted of a line, and one more that nothing else can be newer. */
  const open = async (line: Line): Promise<Range[]> => {
    if (options.span !== undefined) return TIMED.map((bracket) => rangeOf(line, bracket, options.depth));
    const { place, equals } = line;
    const documents = await read(place, equals, { timestamp: -1 }, options.depth);
    if (documents.length < options.depth) {
      take(line, documents);
      return [];
    }
    const bracket = TIMED.find((one) => one === bracketOf(documents.at(-1)?.['timestamp']));
    const [last] = await read(place, { ...equals, timestamp: { $ne: null } }, { timestamp: 1 }, 1);
    if (bracket === undefined || bracketOf(last?.['timestamp']) !== bracket) {
      return TIMED.map((one) => rangeOf(line, one, options.depth));
    }
    const range = rangeOf(line, bracket, options.depth);
    await took(range, documents, true);
    return [range];
  };

  const ranges = (await Promise.all(lines.map(open))).flat();
  for (;;) {
    const unread = Math.max(-Infinity, ...ranges.map(({ unreadMs }) => unreadMs));
    pending.sort(byMark);
    const cut = unread === -Infinity ? -1 : pending.findIndex(({ ms }) => ms <= unread);
    const certain = cut < 0 ? pending : pending.slice(0, cut);
    pending = cut < 0 ? [] : pending.slice(cut);
    if (certain.length > 0) yield certain;
    if (unread === -Infinity) break;
    await Promise.all(ranges.filter(({ unreadMs }) => unreadMs === unread).map(readOn));
  }
  if (options.untimed !== true) return;
  for (const line of new Set(ranges.map((range) => range.line))) {
    take(line, await read(line.place, { ...line.equals, timestamp: null }, { _id: -1 }, MAX_DEPTH));
  }
  if (pending.length > 0) yield pending.sort(byMark);
}

const isSame = (a: unknown, b: unknown): boolean =>
  a instanceof Date && b instanceof Date ? a.getTime() === b.getTime() : a === b || String(a) === String(b);

export interface Newest<T> {
  /** Newest first, at most `count`, without holes. */
  readonly rows: readonly Row<T>[];
  /** True when there is nothing older. */
  readonly exhausted: boolean;
  /** It was given up: there may be more, and newer, between and below. */
  readonly given: boolean;
}

/** The newest `count` documents of several lines. */
export async function newest<T>(
  lines: readonly Line[],
  { count, ...options }: Omit<NewestOptions<T>, 'depth'> & { readonly count: number },
): Promise<Newest<T>> {
  const rows: Row<T>[] = [];
  try {
    for await (const batch of newestFirst(lines, { ...options, depth: count + 1 })) {
      rows.push(...batch);
      if (rows.length > count) return { rows: rows.slice(0, count), exhausted: false, given: false };
    }
  } catch (error) {
    if (!(error instanceof Impatient)) throw error;
    return { rows: rows.slice(0, count), exhausted: false, given: true };
  }
  return { rows, exhausted: true, given: false };
}
