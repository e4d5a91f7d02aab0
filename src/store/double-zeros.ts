import { MongoBulkWriteError } from 'mongodb';
import { NOTED_TABLES } from '../roulette/source.ts';
import type { TableId } from '../roulette/table.ts';
import { CODES, toProtocolError } from './errors.ts';
import type { Databases } from './places.ts';

interface NotedTable {
  readonly _id: string;
  readonly duplo_zero: boolean;
}

/**
 * Notes, acknowledged by a majority, that the wheels of these tables have a double zero: in the database, so that it is
 * known when their numbers that showed it are old or gone, and from the same position on everywhere. What is noted
 * already stays as it is. Rejects with ProtocolError.
 */
export async function noteDoubleZeros(
  { shared }: Pick<Databases, 'shared'>,
  tables: readonly TableId[],
): Promise<void> {
  const notes = shared.collection<NotedTable>(NOTED_TABLES);
  const upserts = tables.map((_id) => ({
    updateOne: { filter: { _id }, update: { $setOnInsert: { duplo_zero: true } }, upsert: true },
  }));
  try {
    await notes.bulkWrite(upserts, { ordered: false, writeConcern: { w: 'majority', j: true } });
  } catch (cause) {
    // Another instance was first. An error of the whole command is of the same class, and names no document.
    const refused = cause instanceof MongoBulkWriteError ? [cause.writeErrors].flat() : [];
    if (refused.length === 0 || !refused.every(({ code }) => code === CODES.DuplicateKey))
      throw toProtocolError(cause, 'write');
  }
}
