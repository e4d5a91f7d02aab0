import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { ProtocolError } from '../protocol/errors.ts';
import { parseTimestamp } from '../roulette/bson-value.ts';
import type { HistoryPage, HistoryRange } from '../roulette/history.ts';
import { byMark, type Line, type NewestOptions, newestFirst, type Row, type RowMark } from './newest.ts';

const MAX_CURSOR = 2_000;
const cursorShape = z.tuple([z.number().int(), z.string(), z.string()]);

const cursorOf = ({ ms, key, ns }: RowMark): string => Buffer.from(JSON.stringify([ms, key, ns])).toString('base64url');

/** Reads a cursor. Throws ProtocolError `invalid` for one that this service did not make. */
function markOf(cursor: string): RowMark {
  const invalid = (cause?: unknown): ProtocolError =>
    new ProtocolError('invalid', {
      problems: [{ path: 'before', message: 'must be the `next` of an earlier page' }],
      cause,
    });
  if (cursor.length > MAX_CURSOR) throw invalid();
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch (cause) {
    throw invalid(cause);
  }
  const parsed = cursorShape.safeParse(value);
  if (!parsed.success || parseTimestamp(parsed.data[0]) === null) throw invalid(parsed.error);
  const [ms, key, ns] = parsed.data;
  return { ms, key, ns };
}

/** A row, and the next older one of its table, also where that is outside of the range; null where there is none. */
export interface RowAndOlder<T> {
  readonly row: Row<T>;
  readonly older: Row<T> | null;
}

/** Documents of one reply: a reply is decoded in one go, and live events wait for that. */
const REPLY = 50;

/** Rows that are read without a rest. After them each portion is followed by a rest of so many times what it took. */
const AT_ONCE = 1_000;
const REST = 4;

/** How rows are read, and what of. */
export type RowsOptions<T> = Pick<NewestOptions<T>, 'read' | 'parse' | 'also'>;

/** A batch, which has all rows of each of its instants, without those of `also` at whose instant there is another row. */
const withoutTwins = <T>(batch: readonly Row<T>[], also: readonly Row<T>[]): readonly Row<T>[] =>
  also.length === 0
    ? batch
    : batch.filter(
        (row) => !also.includes(row) || !batch.some((other) => other.ms === row.ms && !also.includes(other)),
      );

/**
 * The rows of a range, newest first, in portions and without holes. A row of `also` is left out where another one has its
 * instant. `atFirst`: rows that are surely wanted. Throws ProtocolError `invalid` for a bad cursor, and what `read` throws.
 */
export async function* rowsOf<T>(
  lines: readonly Line[],
  options: RowsOptions<T>,
  { sinceMs, untilMs, before }: HistoryRange,
  atFirst: number,
): AsyncGenerator<readonly RowAndOlder<T>[], void, undefined> {
  const mark = before === null ? null : markOf(before);
  const latest = Math.min(untilMs === null ? Infinity : untilMs - 1, mark?.ms ?? Infinity);
  const span = latest === Infinity ? {} : { span: { fromMs: null, untilMs: latest } };
  const depth = Math.min(REPLY, atFirst + 2);
  let newer: Row<T> | null = null;
  let read = 0;
  let beganMs = performance.now();
  for await (const batch of newestFirst(lines, { ...options, depth, maxDepth: REPLY, ...span })) {
    const tookMs = performance.now() - beganMs;
    const rows: RowAndOlder<T>[] = [];
    for (const row of withoutTwins(batch, options.also ?? [])) {
      if (row.ms > latest || (mark !== null && byMark(row, mark) <= 0)) continue;
      if (newer !== null) rows.push({ row: newer, older: row });
      newer = row;
      // What is older than the range is read as far as the last of the range needs it, and no further.
      if (sinceMs !== null && row.ms < sinceMs) break;
    }
    if (rows.length > 0) yield rows;
    if (sinceMs !== null && newer !== null && newer.ms < sinceMs) return;
    // The database and this process serve live events first: a long history takes a fifth of their time.
    read += batch.length;
    if (read > AT_ONCE) await sleep(REST * tookMs);
    beganMs = performance.now();
  }
  if (newer !== null) yield [{ row: newer, older: null }];
}

/** The first `limit` of these rows as a page. */
export async function pageOf<T, Item>(
  rows: AsyncIterable<readonly RowAndOlder<T>[]>,
  limit: number,
  itemOf: (row: RowAndOlder<T>) => Item,
): Promise<HistoryPage<Item>> {
  const page: RowAndOlder<T>[] = [];
  for await (const some of rows) {
    page.push(...some);
    if (page.length > limit) break;
  }
  const last = page[limit - 1];
  const next = page.length > limit && last !== undefined ? cursorOf(last.row) : null;
  return { items: page.slice(0, limit).map(itemOf), next };
}
