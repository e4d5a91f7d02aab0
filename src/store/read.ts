import type { ClientSession, Document } from 'mongodb';
import type { RawDocument } from '../roulette/bson-value.ts';
import { decodeDocument } from '../roulette/decode.ts';
import { fieldPaths } from '../roulette/fields.ts';
import type { ReadDocuments } from './newest.ts';
import type { Place } from './places.ts';

/** What came of a document that cannot be read. */
export type Skipped = (reason: string, ns: string, id: unknown) => void;

export interface ReaderOptions {
  /** Milliseconds that the server may take for one query. */
  readonly maxTimeMs: number;
  readonly session?: ClientSession;
  /** Fields beside those that every reader needs. */
  readonly extra?: readonly string[];
  readonly skipped?: Skipped;
}

/** Documents of one reply at most; by default the first has 101. */
const ONE_REPLY = 1_000;

const MAJORITY = { readPreference: 'primary', readConcern: 'majority', raw: true } as const;

/** The fields of a source's documents that are read, as a projection: no other field ever arrives. */
export const projectionOf = ({ source }: Place, extra: readonly string[] = []): Document =>
  Object.fromEntries([...fieldPaths(source), ...extra].map((field) => [field, 1]));

/**
 * Reads at rest: from the primary, majority committed, and each document by itself, so that one which cannot be decoded
 * costs no other. Rejects with the driver's errors.
 */
export function createReader(options: ReaderOptions): ReadDocuments {
  const { maxTimeMs, session, extra, skipped } = options;
  return async (place, filter, sort, limit) => {
    const found = await place.collection
      .find<Uint8Array>(filter, {
        ...MAJORITY,
        ...(session === undefined ? {} : { session }),
        sort: { ...sort },
        limit,
        // One reply for what one reply can hold; with as many as `limit` the server would keep the cursor open.
        ...(limit > 0 && limit <= ONE_REPLY ? { batchSize: limit + 1 } : {}),
        projection: projectionOf(place, extra),
        maxTimeMS: maxTimeMs,
      })
      .toArray();
    return decoded(found, (id) => skipped?.('unreadable', place.ns, id));
  };
}

/** Every value that a field of a collection has, by an index on it. Values that cannot be decoded are left out. */
export async function valuesOf({ collection }: Place, field: string, options: ReaderOptions): Promise<unknown[]> {
  const { maxTimeMs, session } = options;
  // Stepped through by the index, one key per value, where that is not over arrays.
  const stages = [{ $sort: { [field]: 1 } }, { $group: { _id: `$${field}` } }];
  const found = await collection
    .aggregate<Uint8Array>(stages, {
      ...MAJORITY,
      ...(session === undefined ? {} : { session }),
      maxTimeMS: maxTimeMs,
      allowDiskUse: true,
    })
    .toArray();
  return decoded(found, () => undefined).map(({ _id }) => _id);
}

function decoded(found: readonly Uint8Array[], undecodable: (id: unknown) => void): RawDocument[] {
  const documents: RawDocument[] = [];
  for (const bytes of found) {
    const document = decodeDocument(bytes);
    if (document === null) undecodable(null);
    else documents.push(document);
  }
  return documents;
}
