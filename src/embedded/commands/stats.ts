import { type Document, Double, Int32 } from 'bson';
import type { Collection } from '../storage/collection.ts';

/** A count as the server types it: int while it fits. */
export function counted(value: number): Int32 | Double {
  return value < 2 ** 31 ? new Int32(value) : new Double(value);
}

/** Bytes that an entry of an index takes, roughly. */
const INDEX_ENTRY_BYTES = 32;
const FIRST_PAGE_BYTES = 4096;

/** What collStats says, in units of `scale` bytes. */
export function collectionStats(collection: Collection, scale: number): Document {
  const { capped } = collection.options;
  const count = collection.records.size;
  const sizes: Document = {};
  let indexBytes = 0;
  for (const index of collection.indexes.values()) {
    const bytes = FIRST_PAGE_BYTES + index.keys.size * INDEX_ENTRY_BYTES;
    sizes[index.spec.name] = counted(Math.floor(bytes / scale));
    indexBytes += bytes;
  }
  const storage = FIRST_PAGE_BYTES + collection.bytes;
  return {
    ns: collection.namespace,
    size: counted(Math.floor(collection.bytes / scale)),
    count: counted(count),
    ...(count > 0 ? { avgObjSize: counted(Math.floor(collection.bytes / count)) } : {}),
    storageSize: counted(Math.floor(storage / scale)),
    capped: capped !== undefined,
    ...(capped === undefined
      ? {}
      : {
          max: counted(capped.max ?? -1),
          maxSize: counted(Math.floor(capped.size / scale)),
          sleepCount: new Int32(0),
          sleepMS: new Int32(0),
        }),
    nindexes: counted(collection.indexes.size),
    indexBuilds: [],
    totalIndexSize: counted(Math.floor(indexBytes / scale)),
    totalSize: counted(Math.floor((indexBytes + storage) / scale)),
    indexSizes: sizes,
    scaleFactor: counted(scale),
  };
}
