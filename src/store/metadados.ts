import type { Collection } from 'mongodb';
import { ProtocolError } from '../protocol/errors.ts';
import { isDocument, keyOf } from '../roulette/bson-value.ts';
import type { InsertResult, StrategyToStore } from '../roulette/ingest.ts';
import { isSevenDigits, type TableId } from '../roulette/table.ts';
import { CODES, toProtocolError } from './errors.ts';
import { MAJORITY_MS, sameState, stateFields } from './insert-many.ts';
import { createReader, type Databases, metadadosOf, placeOf } from './places.ts';

/** The tables' own documents of the per-table layout. */
interface Metadados {
  /** Makes the table's document when it has none; an existing one is left as it is. Rejects with ProtocolError. */
  ensure(table: TableId, name: string | null): Promise<void>;
  /** Puts a state in the place of the table's current one, unless that is newer. */
  putState(item: StrategyToStore): Promise<InsertResult>;
}

/** An operator may drop `metadados` while we run: what is there is looked at again after this time. */
const KNOWN_MS = 60_000;

/** A state from further ahead than clocks differ is no reason to keep it instead of a later posted one. */
const AHEAD_MS = 5 * 60_000;

const MAJORITY = { w: 'majority', journal: true, wtimeoutMS: MAJORITY_MS } as const;

/** What a taken key means, should no document of the table turn up. Throws any other error. */
function asTaken(cause: unknown): ProtocolError {
  const isTaken = typeof cause === 'object' && cause !== null && 'code' in cause && cause.code === CODES.DuplicateKey;
  if (!isTaken) throw cause;
  const message = 'Another document of metadados has the _id of this table, or its value in a unique index.';
  return new ProtocolError('database_refused', { cause, message });
}

/** Writes to `metadados` (or `metadados_roletas`, where only that exists). */
export function createMetadados({ client, tables, sources }: Databases, now: () => number): Metadados {
  let found: Promise<Collection> | null = null;
  /** When each table's document was last known to be there, by the host's clock. */
  const known = new Map<TableId, number>();

  const collection = (): Promise<Collection> => {
    found ??= metadadosOf({ tables, sources }).catch((cause: unknown) => {
      found = null;
      throw cause;
    });
    return found;
  };

  /** Older writers stored the id as an integer. */
  const ofTable = (table: TableId) => ({
    roleta_id: /^[1-9]\d{0,14}$/.test(table) ? { $in: [table, Number(table)] } : table,
  });

  /** Null, or what to answer when the table's document is not there after all: another instance may have made it first. */
  const ensure = async (table: TableId, name: string | null): Promise<ProtocolError | null> => {
    if (now() - (known.get(table) ?? -Infinity) < KNOWN_MS) return null;
    const metadados = await collection();
    const named = name === null ? {} : { roleta_nome: name };
    const fields = { roleta_id: table, ...named, ...(isSevenDigits(table) ? { colecao: table } : {}), ativa: true };
    // The `_id` is the table's, so that two instances cannot both make one where no unique index forbids it.
    const keyed = metadados.db.collection<{ _id: string }>(metadados.collectionName);
    const made = await keyed
      .updateOne(ofTable(table), { $setOnInsert: { _id: table, ...fields } }, { upsert: true, writeConcern: MAJORITY })
      .then(() => null, asTaken);
    known.set(table, now());
    return made;
  };

  const putState = async (item: StrategyToStore, again = true): Promise<InsertResult> => {
    const taken = await ensure(item.table, item.name);
    const metadados = await collection();
    const state = { ...stateFields(item), evento: item.id };
    const session = client.startSession({ causalConsistency: true });
    try {
      const filter = {
        ...ofTable(item.table),
        'estrategia.timestamp': { $not: { $gt: state.timestamp, $lte: new Date(now() + AHEAD_MS) } },
        'estrategia.evento': { $ne: item.id },
      };
      const change = { $set: { estrategia: state } };
      const updated = await metadados.updateOne(filter, change, { session, writeConcern: MAJORITY });
      if (updated.matchedCount > 0) return { status: 'created', id: item.id };
      const place = placeOf(metadados.db, metadados.collectionName, sources);
      if (place === null) throw new ProtocolError('internal');
      const read = createReader({ maxTimeMs: MAJORITY_MS, session, extra: ['estrategia.evento'] });
      const [current] = await read(place, ofTable(item.table), {}, 1);
      if (current === undefined) {
        if (taken !== null) throw taken;
        // It was dropped since it was known to be there.
        known.delete(item.table);
        if (again) return await putState(item, false);
        throw new ProtocolError('write_unknown', { retryMs: MAJORITY_MS });
      }
      const estrategia: unknown = current['estrategia'];
      const sameEvent = isDocument(estrategia) && keyOf(estrategia['evento']) === keyOf(item.id);
      // Of an older state there is nothing to keep here: only the current one has a place.
      if (!sameEvent) return { status: 'duplicate', id: item.id };
      const isSame = sameState(current, { kind: 'metadados' }, item, item.table);
      return isSame ? { status: 'duplicate', id: item.id } : { status: 'error', error: new ProtocolError('conflict') };
    } finally {
      await session.endSession();
    }
  };

  return {
    async ensure(table, name) {
      await ensure(table, name).catch(rethrow);
    },
    putState: (item) => putState(item).catch(rethrow),
  };
}

function rethrow(cause: unknown): never {
  throw toProtocolError(cause, 'write');
}
