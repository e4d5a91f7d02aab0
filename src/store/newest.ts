import type { Filter } from 'mongodb';
import type { RawDocument } from '../roulette/bson-value.ts';
import { keyOf } from '../roulette/identity.ts';
import { type Bracket, latestUnread, speltOtherwise, within } from './brackets.ts';
import type { Place } from './places.ts';

/** One index range: a collection, the equality that selects a table in it, and a class of timestamps. */
export interface Line {
  readonly place: Place;
  readonly equals: Filter<RawDocument>;
  readonly bracket: Bracket;
}

/** Where a document stands in the order of its table; collections break ties of equal keys. */
export interface Mark {
  readonly ms: number;
  readonly key: string;
  readonly ns: string;
}

/** A document with its place in the order and what it was read as. */
export interface Row<T> extends Mark {
  readonly document: RawDocument;
  readonly value: T;
}

/** Reads the first `limit` documents of a range in the order of `sort`. */
export type ReadDocuments = (
  place: Place,
  filter: Filter<RawDocument>,
  sort: Readonly<Record<string, 1 | -1>>,
  limit: number,
) => Promise<readonly RawDocument[]>;

export interface NewestOptions<T> {
  readonly count: number;
  /** Only what is older than this. */
  readonly before?: Mark;
  readonly read: ReadDocuments;
  /** What a document is read as, with its instant; null for one that does not count. */
  readonly parse: (document: RawDocument, place: Place) => { readonly ms: number; readonly value: T } | null;
}

export interface Newest<T> {
  /** Newest first, at most `count`, without holes: nothing between two of them is left out. */
  readonly rows: readonly Row<T>[];
  /** True when the ranges hold nothing older. */
  readonly exhausted: boolean;
}

/** Documents read of one range at most, however many of them do not count. */
const MAX_DEPTH = 50_000;

interface Progress {
  readonly line: Line;
  depth: number;
  documents: readonly RawDocument[];
  exhausted: boolean;
  /** Texts not read yet are spelt otherwise than those read. */
  mixed: boolean;
  stale: boolean;
}

/** Newest first: the order of `newerFirst`, with the collection as the last word. */
export function byMark(a: Mark, b: Mark): number {
  if (a.ms !== b.ms) return b.ms - a.ms;
  if (a.key !== b.key) return a.key < b.key ? 1 : -1;
  if (a.ns === b.ns) return 0;
  return a.ns < b.ns ? 1 : -1;
}

/**
 * The newest documents of several index ranges, merged. MongoDB sorts by the class and spelling of `timestamp`, not by
 * its instant, so each range is read for itself, and only what is newer than anything that a range may still hold is
 * taken: ties at the cut are left out. Ranges are read deeper until there are enough.
 */
export async function newest<T>(lines: readonly Line[], options: NewestOptions<T>): Promise<Newest<T>> {
  const { count, before } = options;
  const progress = lines.map(
    (line): Progress => ({
      line,
      depth: count + 1,
      documents: [],
      exhausted: false,
      mixed: false,
      stale: line.bracket !== 'none',
    }),
  );
  // What has no timestamp is older than all that has one: mostly it need not be looked for.
  const untimed = progress.filter(({ stale }) => !stale);
  for (;;) {
    await Promise.all(progress.filter(({ stale }) => stale).map((one) => readOn(one, options)));
    const open = progress.filter(({ exhausted }) => !exhausted);
    const limits = open.map(({ line, documents, mixed }) => latestUnread(line.bracket, timestampsOf(documents), mixed));
    const limitMs = Math.max(-Infinity, ...limits);
    const rows = progress
      .flatMap((one) => rowsOf(one, options.parse))
      .filter((row) => (row.ms > limitMs || limitMs === -Infinity) && (before === undefined || byMark(row, before) > 0))
      .sort(byMark);
    const deeper = open.filter((one, index) => one.depth < MAX_DEPTH && limits[index] !== -Infinity);
    if (rows.length < count && deeper.length === 0 && untimed.length > 0) {
      for (const one of untimed.splice(0)) one.stale = true;
      continue;
    }
    if (rows.length >= count || deeper.length === 0) {
      return { rows: rows.slice(0, count), exhausted: open.length === 0 && rows.length <= count };
    }
    for (const one of deeper) {
      one.depth = Math.min(MAX_DEPTH, one.depth * 2);
      one.stale = true;
    }
  }
}

const timestampsOf = (documents: readonly RawDocument[]): unknown[] =>
  documents.map((document) => document['timestamp']);

async function readOn<T>(one: Progress, { before, read }: NewestOptions<T>): Promise<void> {
  const { place, equals, bracket } = one.line;
  const filter = { ...equals, ...within(bracket, before === undefined ? null : before.ms) };
  one.documents = await read(place, filter, bracket === 'none' ? { _id: -1 } : { timestamp: -1 }, one.depth);
  one.exhausted = one.documents.length < one.depth;
  const otherwise = bracket === 'text' && !one.exhausted ? speltOtherwise(timestampsOf(one.documents)) : null;
  if (otherwise !== null) {
    one.mixed = (await read(place, { ...equals, ...otherwise }, { timestamp: -1 }, 1)).length > 0;
  }
  one.stale = false;
}

function rowsOf<T>({ line, documents }: Progress, parse: NewestOptions<T>['parse']): Row<T>[] {
  const rows: Row<T>[] = [];
  for (const document of documents) {
    const parsed = parse(document, line.place);
    if (parsed === null) continue;
    rows.push({ ms: parsed.ms, key: keyOf(document['_id']), ns: line.place.ns, document, value: parsed.value });
  }
  return rows;
}
