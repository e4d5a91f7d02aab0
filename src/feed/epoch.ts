import { type Db, MongoServerError, UUID } from 'mongodb';
import { z } from 'zod';
import { keyOf } from '../roulette/identity.ts';

/** The one collection that this service writes besides ingest and indexes. */
export const META = '_rt_meta';

const collectionInfo = z.object({ info: z.object({ uuid: z.instanceof(UUID).optional() }).optional() });
const epochDocument = z.object({ value: z.union([z.string(), z.number()]).optional() });

/**
 * The identity of this database's history: the operator's value in `_rt_meta` and the UUID of that collection, which
 * a logical restore changes. Another epoch means that positions of before say nothing. Null when there is none yet.
 */
export async function readEpoch(database: Db): Promise<string | null> {
  const [listed] = await database.listCollections({ name: META }).toArray();
  if (listed === undefined) return null;
  const found = await database
    .collection<{ _id: string }>(META)
    .findOne({ _id: 'epoch' }, { readConcern: { level: 'majority' }, readPreference: 'primary' });
  if (found === null) return null;
  const uuid = collectionInfo.parse(listed).info?.uuid;
  const value = epochDocument.parse(found).value ?? 'e1';
  return `${value}-${uuid === undefined ? 'x' : uuid.toHexString(false).slice(0, 12)}`;
}

const DUPLICATE_KEY = 11000;

/** Key of the document that holds the operator's value. */
export const EPOCH_KEY = keyOf('epoch');

/** Creates the epoch if nobody did yet, by majority; two instances that do it at once agree on the first. */
export async function ensureEpoch(database: Db): Promise<void> {
  try {
    await database
      .collection<{ _id: string; value: string }>(META)
      .updateOne(
        { _id: 'epoch' },
        { $setOnInsert: { value: 'e1' } },
        { upsert: true, writeConcern: { w: 'majority', j: true } },
      );
  } catch (error) {
    if (!(error instanceof MongoServerError && error.code === DUPLICATE_KEY)) throw error;
  }
}
