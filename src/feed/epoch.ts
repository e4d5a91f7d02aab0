import { type Db, MongoServerError, UUID } from 'mongodb';
import { z } from 'zod';
import { keyOf, wireIdOf } from '../roulette/bson-value.ts';
import { CODES } from '../store/errors.ts';

/** The collection that holds what this service keeps of its own, but for what it notes of tables. */
export const META = '_rt_meta';

/** Key of the document that holds the operator's value. */
export const EPOCH_KEY = keyOf('epoch');

const collectionInfo = z.object({ info: z.object({ uuid: z.instanceof(UUID) }) });

const FIRST_VALUE = 'e1';
/** Clients send it back, in frames and addresses. */
const MAX_VALUE = 60;

/** The operator's value as text, whatever type it was stored as. */
const textOf = (value: unknown): string =>
  (value === undefined || value === null ? FIRST_VALUE : wireIdOf(value)).slice(0, MAX_VALUE);

async function readEpoch(database: Db): Promise<string | null> {
  const [listed] = await database.listCollections({ name: META }).toArray();
  if (listed === undefined) return null;
  const found = await database.collection<{ _id: string; value?: unknown }>(META).findOne(
    { _id: 'epoch' },
    {
      projection: { value: 1 },
      readConcern: { level: 'majority' },
      readPreference: 'primary',
      bsonRegExp: true,
      enableUtf8Validation: false,
    },
  );
  if (found === null) return null;
  const { data } = collectionInfo.safeParse(listed);
  return `${textOf(found.value)}-${data === undefined ? 'x' : data.info.uuid.toHexString(false).slice(0, 12)}`;
}

/** Creates the epoch if nobody did yet, by majority; two instances that do it at once agree on the first. */
async function ensureEpoch(database: Db): Promise<void> {
  try {
    await database
      .collection<{ _id: string; value: string }>(META)
      .updateOne(
        { _id: 'epoch' },
        { $setOnInsert: { value: FIRST_VALUE } },
        { upsert: true, writeConcern: { w: 'majority', j: true } },
      );
  } catch (error) {
    if (!(error instanceof MongoServerError && error.code === CODES.DuplicateKey)) throw error;
  }
}

/**
 * The identity of this database's history: the operator's value in `_rt_meta` and the UUID of that collection, which
 * a logical restore changes. Another epoch means that positions of before say nothing. Created where there is none.
 */
export async function epochOf(database: Db): Promise<string> {
  const epoch = await readEpoch(database);
  if (epoch !== null) return epoch;
  await ensureEpoch(database);
  return (await readEpoch(database)) ?? 'none';
}
