import type { Db } from 'mongodb';
import { numberFrom, type StoredNumber } from '../roulette/number.ts';
import { NUMBERS } from '../roulette/source.ts';
import type { TableId } from '../roulette/table.ts';
import type { Span } from './brackets.ts';
import { type Line, type Mark, type Newest, newest } from './newest.ts';
import { type Databases, distinctDatabases, placeOf, presentPlaces } from './places.ts';
import { createReader } from './read.ts';
import type { Spellings } from './spellings.ts';

/** Milliseconds that one query of a reader may take in the server. */
export const READ_MS = 5_000;

/** Where the numbers of a table stand: under each spelling of its id, and in a collection of its own. */
export function linesOf(databases: Databases, spellings: Spellings, table: TableId): Line[] {
  return distinctDatabases(databases).flatMap((database: Db) => {
    const shared = placeOf(database, NUMBERS);
    const own = placeOf(database, table);
    return [
      // Not one `$in` for all: not every server sorts that by an index.
      ...(shared === null ? [] : spellings.of(table).map((value) => ({ place: shared, equals: { roleta_id: value } }))),
      ...(own?.source.kind === 'table-numbers' ? [{ place: own, equals: {} }] : []),
    ];
  });
}

/** The numbers of every table. */
export async function linesOfAll(databases: Databases): Promise<Line[]> {
  return (await presentPlaces(databases))
    .filter(({ source }) => source.kind === 'numbers' || source.kind === 'table-numbers')
    .map((place) => ({ place, equals: {} }));
}

/** For those who also show when a number was stored. */
const read = createReader({ maxTimeMs: READ_MS, extra: ['criado_em'] });

export interface NumbersRequest {
  readonly count: number;
  readonly resolve: (reference: string) => TableId | null;
  /** Only what is older than this. */
  readonly before?: Mark;
}

/** The newest numbers of some lines, merged over layouts and kinds of timestamp. Rejects with driver errors. */
export function newestNumbers(lines: readonly Line[], request: NumbersRequest): Promise<Newest<StoredNumber>> {
  const { count, resolve, before } = request;
  const span: Span | undefined = before === undefined ? undefined : { fromMs: null, untilMs: before.ms };
  return newest(lines, {
    count,
    read,
    ...(before === undefined ? {} : { before }),
    ...(span === undefined ? {} : { span }),
    parse: (document, place) => {
      const parsed = numberFrom(document, place.source, resolve);
      return parsed.ok ? { ms: parsed.value.timestampMs, value: parsed.value } : null;
    },
  });
}
