import type { Engine } from '../engine.ts';
import type { OplogEntry } from '../oplog/oplog.ts';
import type { Collection } from '../storage/collection.ts';
import { indexDocument } from '../storage/collection-index.ts';
import { unlimited } from '../values/effort.ts';
import type { Files } from './files.ts';
import { encodeFrame } from './frames.ts';
import {
  BASE_END,
  collectionRecord,
  cutRecord,
  documentsRecord,
  entryRecord,
  logHeader,
  userRecord,
} from './records.ts';

/** Everything as it is at one moment, to be written while it changes. */
export interface State {
  records(): Generator<Uint8Array, void>;
  /** Lets go of what was kept for it. */
  release(): void;
}

const DOCUMENTS_BYTES = 256 * 1024;
/** About what is put together in one turn. */
const FRAME_BYTES = 512 * 1024;

function* documentRecords(collection: Collection, ids: Float64Array, snapshot: number): Generator<Uint8Array, void> {
  let documents: Buffer[] = [];
  let bytes = 0;
  for (const id of ids) {
    const raw = collection.at(id, snapshot);
    if (raw === undefined) continue;
    documents.push(raw);
    bytes += raw.length;
    if (bytes < DOCUMENTS_BYTES) continue;
    yield documentsRecord(collection.uuid, documents);
    documents = [];
    bytes = 0;
  }
  if (documents.length > 0) yield documentsRecord(collection.uuid, documents);
}

/** Holds on to the state of this moment: names and indexes at once, documents as an open snapshot does. */
export function captureState(engine: Engine): State {
  const { catalog, oplog } = engine;
  const snapshot = catalog.openSnapshot();
  const collections = catalog.databases().flatMap((db) => catalog.collections(db));
  const parts = collections.map((collection) => ({
    collection,
    head: collectionRecord(collection.uuid, {
      db: collection.db,
      coll: collection.name,
      shown: collection.options.shown,
      indexes: [...collection.indexes.values()]
        .map(({ spec }) => indexDocument(spec))
        .filter(({ name }) => name !== '_id_'),
    }),
    // The ids at once: a document that is deleted before its turn comes is still to be written.
    ids: Float64Array.from(collection.records.keys()),
  }));
  const users = engine.users.all();
  const history: OplogEntry[] = [];
  for (let at = oplog.firstSequence; at < oplog.nextSequence; at += 1) {
    const entry = oplog.entry(at);
    if (entry !== undefined) history.push(entry);
  }
  const { truncated } = oplog;
  return {
    *records() {
      for (const { collection, head, ids } of parts) {
        yield head;
        yield* documentRecords(collection, ids, snapshot);
      }
      for (const user of users) yield userRecord(user, user.document);
      for (const entry of history) yield entryRecord(entry, 'past');
      if (truncated) yield cutRecord(history.length);
      yield BASE_END;
    },
    release: () => catalog.closeSnapshot(),
  };
}

/**
 * Writes a base: a file that alone leads to that state. It is written under another name and renamed when it is whole
 * and durable.
 *
 * @returns its size in bytes
 * @throws the file system's error, or the signal's reason; the unfinished file is removed then
 */
export async function writeBase(files: Files, path: string, state: State, signal: AbortSignal): Promise<number> {
  const unfinished = `${path}.new`;
  await files.remove(unfinished);
  const file = await files.open(unfinished);
  try {
    let end = 0;
    let records: Uint8Array[] = [logHeader()];
    let bytes = logHeader().length;
    const flush = async () => {
      if (records.length === 0) return;
      const frame = encodeFrame(records, bytes, end);
      records = [];
      bytes = 0;
      await file.write(frame, end);
      signal.throwIfAborted();
      end += frame.length;
    };
    const all = state.records();
    // No client's command: its limit of effort does not hold here.
    for (let next = unlimited(() => all.next()); next.done !== true; next = unlimited(() => all.next())) {
      const record = next.value;
      records.push(record);
      bytes += record.length;
      // Each write is a pause in which commands are served.
      if (bytes >= FRAME_BYTES) await flush();
    }
    await flush();
    await file.sync();
    await file.close();
    await files.rename(unfinished, path);
    return end;
  } catch (error) {
    await file.close();
    await files.remove(unfinished);
    throw error;
  }
}
