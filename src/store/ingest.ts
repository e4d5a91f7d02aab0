import { ProtocolError } from '../protocol/errors.ts';
import { idInTable } from '../roulette/bson-value.ts';
import type { InsertResult, NumberToStore, StrategyToStore } from '../roulette/ingest.ts';
import { NUMBERS, STRATEGIES } from '../roulette/source.ts';
import type { TableId } from '../roulette/table.ts';
import { toProtocolError } from './errors.ts';
import { createIndexed } from './indexes.ts';
import { type Insertion, insertMany, numberDocument, sameNumber, sameState, strategyDocument } from './insert-many.ts';
import { createMetadados } from './metadados.ts';
import { type Databases, type Place, placeOf } from './places.ts';

/** Where posted numbers and strategies are stored (INGEST_LAYOUT). */
export type Layout = 'shared' | 'per-table';

/** Stores what was posted. Nothing is published here: what is committed comes back through the change stream. */
export interface Ingest {
  /**
   * Stores numbers, acknowledged by a journaled majority; one result each, in order. Rejects with ProtocolError when
   * nothing is known of any of them.
   */
  insertNumbers(items: readonly NumberToStore[]): Promise<InsertResult[]>;
  /** The same for strategy states. */
  insertStrategies(items: readonly StrategyToStore[]): Promise<InsertResult[]>;
}

interface IngestOptions {
  readonly layout: Layout;
  /** Epoch milliseconds, for `criado_em`. */
  readonly now: () => number;
}

/** Writes in one layout. */
export function createIngest(databases: Databases, { layout, now }: IngestOptions): Ingest {
  const { shared, tables, sources } = databases;
  const metadados = createMetadados(databases, now);
  const prepared = new Set<string>();

  /** Inserts into a collection that is made with its indexes when it is not there. */
  const insertInto = async (place: Place, insertions: readonly Insertion[]): Promise<InsertResult[]> => {
    if (!prepared.has(place.ns)) {
      await createIndexed(place).catch((cause: unknown) => {
        // Nothing was written yet, so that this is no write of unknown outcome.
        throw toProtocolError(cause, 'read');
      });
      prepared.add(place.ns);
    }
    return insertMany(databases, place, insertions);
  };

  const insertShared = (name: string, insertions: readonly Insertion[]): Promise<InsertResult[]> =>
    insertInto(mustBePlace(placeOf(shared, name, sources), name), insertions);

  const numberInsertion = (item: NumberToStore, source: Place['source']) => ({
    document: numberDocument(item, now()),
    isSame: (stored: Readonly<Record<string, unknown>>) => sameNumber(stored, source, item),
  });

  const insertIntoTable = async (table: TableId, items: readonly NumberToStore[]): Promise<InsertResult[]> => {
    const [name] = sources.collectionsOf(table);
    const own = name === undefined ? null : placeOf(tables, name, sources);
    // A table without a collection of its own shares one.
    const place = own ?? mustBePlace(placeOf(tables, NUMBERS, sources), NUMBERS);
    await metadados.ensure(table, items.find(({ name }) => name !== null)?.name ?? null);
    const results = await insertInto(
      place,
      items.map((item) => numberInsertion(item, place.source)),
    );
    if (place !== own) return results;
    // As events call it: the `_id` alone may be in the shared collection too.
    return results.map((result) =>
      result.status === 'error' ? result : { ...result, id: idInTable(result.id, table) },
    );
  };

  return {
    insertNumbers(items) {
      if (layout === 'shared') {
        return insertShared(
          NUMBERS,
          items.map((item) => numberInsertion(item, { kind: 'numbers' })),
        );
      }
      return inGroups(items, insertIntoTable);
    },
    insertStrategies(items) {
      if (layout === 'shared') {
        return insertShared(
          STRATEGIES,
          items.map((item) => ({
            document: strategyDocument(item, now()),
            isSame: (stored) => sameState(stored, { kind: 'strategies' }, item, item.table),
          })),
        );
      }
      return inGroups(items, async (_table, ofTable) => {
        const results: InsertResult[] = [];
        // One after the other: of two states of a table the later posted one must stay.
        for (const item of ofTable) results.push(await metadados.putState(item).catch(asResult));
        return results;
      });
    },
  };
}

const asResult = (cause: unknown): InsertResult => ({ status: 'error', error: toProtocolError(cause, 'write') });

function mustBePlace(place: Place | null, name: string): Place {
  if (place === null) throw new ProtocolError('internal', { cause: new Error(`${name} is not a watched collection`) });
  return place;
}

/** Stores the items table by table and puts the results back into the order of the items. */
async function inGroups<T extends { readonly table: TableId }>(
  items: readonly T[],
  store: (table: TableId, items: readonly T[]) => Promise<InsertResult[]>,
): Promise<InsertResult[]> {
  const groups = new Map<TableId, { readonly item: T; readonly index: number }[]>();
  items.forEach((item, index) => {
    groups.set(item.table, [...(groups.get(item.table) ?? []), { item, index }]);
  });
  const results = new Map<number, InsertResult>();
  await Promise.all(
    [...groups].map(async ([table, group]) => {
      const ofTable = group.map(({ item }) => item);
      const stored = await store(table, ofTable).catch((cause: unknown) => ofTable.map(() => asResult(cause)));
      group.forEach(({ index }, at) => {
        const result = stored[at];
        if (result !== undefined) results.set(index, result);
      });
    }),
  );
  const missing = new ProtocolError('internal', { cause: new Error('an item has no result') });
  return items.map((_, index) => results.get(index) ?? { status: 'error', error: missing });
}
