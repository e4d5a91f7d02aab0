import type { Collection } from 'mongodb';
import { ProtocolError } from '../protocol/errors.ts';
import { isDocument } from '../roulette/bson-value.ts';
import { keyOf } from '../roulette/identity.ts';
import type { InsertResult, StrategyToStore } from '../roulette/ingest.ts';
import type { TableId } from '../roulette/table.ts';
import { sameState, stateFields } from './documents.ts';
import { isDuplicateKey, toProtocolError } from './errors.ts';
import { MAJORITY_MS } from './insert-many.ts';
import { type Databases, metadadosOf } from './places.ts';

/** The tables' own documents of the per-table layout. */
export interface Metadados {
  /** Makes the table's document when it has none; an existing one is left as it is. Rejects with ProtocolError. */
  ensure(table: TableId, name: string | null): Promise<void>;
  /** Puts a state in the place of the table's current one, unless that is newer. */
  putState(item: StrategyToStore): Promise<InsertResult>;
}

const MAJORITY = { w: 'majority', journal: true, wtimeoutMS: MAJORITY_MS } as const;

const duplicateCode = (cause: unknown): boolean =>
  typeof cause === 'object' && cause !== null && 'code' in cause && isDuplicateKey(cause.code);

/** Writes to `metadados` (or `metadados_roletas`, where only that exists). */
export function createMetadados({ client, tables }: Databases): Metadados {
  let found: Promise<Collection> | null = null;
  const known = new Set<TableId>();

  const collection = (): Promise<Collection> => {
    found ??= metadadosOf(tables).catch((cause: unknown) => {
      found = null;
      throw cause;
    });
    return found;
  };

  /** Older writers stored the id as an integer. */
  const ofTable = (table: TableId) => ({ roleta_id: { $in: [table, Number(table)] } });

  const ensure = async (table: TableId, name: string | null): Promise<void> => {
    if (known.has(table)) return;
    const metadados = await collection();
    const named = name === null ? {} : { roleta_nome: name };
    const fields = { roleta_id: table, ...named, colecao: table, ativa: true };
    // The `_id` is the table's, so that two instances cannot both make one where no unique index forbids it.
    const keyed = metadados.db.collection<{ _id: string }>(metadados.collectionName);
    try {
      await keyed.updateOne(
        ofTable(table),
        { $setOnInsert: { _id: table, ...fields } },
        { upsert: true, writeConcern: MAJORITY },
      );
    } catch (cause) {
      if (!duplicateCode(cause)) throw cause;
    }
    known.add(table);
  };

  const putState = async (item: StrategyToStore): Promise<InsertResult> => {
    await ensure(item.table, item.name);
    const metadados = await collection();
    const state = { ...stateFields(item), evento: item.id };
    const session = client.startSession({ causalConsistency: true });
    try {
      const filter = {
        ...ofTable(item.table),
        'estrategia.timestamp': { $not: { $gt: state.timestamp } },
        'estrategia.evento': { $ne: item.id },
      };
      const change = { $set: { estrategia: state } };
      const updated = await metadados.updateOne(filter, change, { session, writeConcern: MAJORITY });
      if (updated.matchedCount > 0) return { status: 'created', id: item.id };
      const current = await metadados.findOne(ofTable(item.table), {
        session,
        readConcern: 'majority',
        readPreference: 'primary',
        maxTimeMS: MAJORITY_MS,
      });
      const estrategia: unknown = current?.['estrategia'];
      const sameEvent = isDocument(estrategia) && keyOf(estrategia['evento']) === keyOf(item.id);
      // Of an older state there is nothing to keep here: only the current one has a place.
      if (!sameEvent) return { status: 'duplicate', id: item.id };
      const isSame = current !== null && sameState(current, { kind: 'metadados' }, item, item.table);
      return isSame ? { status: 'duplicate', id: item.id } : { status: 'error', error: new ProtocolError('conflict') };
    } finally {
      await session.endSession();
    }
  };

  return {
    ensure: (table, name) => ensure(table, name).catch(rethrow),
    putState: (item) => putState(item).catch(rethrow),
  };
}

function rethrow(cause: unknown): never {
  throw toProtocolError(cause, 'write');
}
