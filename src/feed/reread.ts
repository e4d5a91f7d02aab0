import type { MongoClient } from 'mongodb';
import { type ClusterTime, compareTimes, type Position } from '../protocol/position.ts';
import { keyOf } from '../roulette/bson-value.ts';
import { fieldPaths, type Source } from '../roulette/source.ts';
import { TOLERANT_REPLY } from '../store/places.ts';
import { type Change, type ChangeOf, createDecoder, decodeReply, type Fields, type Namespace } from './change.ts';
import { documentsOf, openCursor, type Watch } from './stream.ts';

const LEAN_BATCH = 100;
const LEAN_AWAIT_MS = 20;

/** Documents asked for in one query; with the longest `_id`s that are usual it stays far below what a command may be. */
const IDS_AT_ONCE = 1_000;

/** A change of a document whose content the change does not tell. */
export type Doubtful = ChangeOf<'insert' | 'replace' | 'update'>;

/**
 * Reads what comes after `last` within one clusterTime, without documents, since one of them is too large to be sent;
 * the documents are read at rest instead. All of that clusterTime, because a stream can only be opened at its start or
 * after its end. Empty when there is nothing any more. Rejects with the driver's errors.
 */
export async function readOversized(
  client: MongoClient,
  watch: Watch,
  startAt: ClusterTime,
  last: Position,
): Promise<Change[]> {
  const lean = { database: watch.database, stages: watch.leanStages(), startAt, batchSize: LEAN_BATCH };
  const cursor = await openCursor(client, lean);
  const decode = createDecoder(watch);
  const found: Change[] = [];
  /** Takes a batch; true when the clusterTime was read to its end. */
  const take = (changes: readonly unknown[]): boolean => {
    for (const raw of changes) {
      const change = decode(raw);
      if (change === null || change.position <= last) continue;
      const first = found[0]?.time ?? change.time;
      if (compareTimes(change.time, first) > 0) return true;
      found.push(change);
    }
    return changes.length === 0;
  };
  try {
    for (let done = false; cursor.open && !done; ) done = take((await cursor.next(LEAN_AWAIT_MS)).changes);
  } finally {
    await cursor.close();
  }
  const doubtful = found.filter((change): change is Doubtful => 'key' in change && change.kind !== 'delete');
  const reread = new Map((await rereadAll(client, watch, doubtful)).map((change) => [change.position, change]));
  return found.map((change) => reread.get(change.position) ?? change);
}

/** The same changes with their documents as they stand now. Rejects with the driver's errors. */
export async function rereadAll(
  client: MongoClient,
  watch: Watch,
  changes: readonly Doubtful[],
): Promise<ChangeOf<'reread'>[]> {
  const wanted = new Map<Namespace, Map<string, unknown>>();
  for (const { ns, key, id } of changes) {
    const own = wanted.get(ns) ?? new Map<string, unknown>();
    wanted.set(ns, own.set(key, id));
  }
  const documents = new Map<Namespace, ReadonlyMap<string, Fields>>();
  for (const [ns, ids] of wanted) {
    const source = watch.sourceOf(ns);
    if (source !== null) documents.set(ns, await readByIds(client, source, ns, [...ids.values()]));
  }
  return changes.map(({ position, time, ns, wallTimeMs, key, id, kind }) => {
    const document = documents.get(ns)?.get(key) ?? null;
    return { position, time, ns, wallTimeMs, key, id, kind: 'reread', inserted: kind === 'insert', document };
  });
}

/** Only the fields that matter, of documents by their identity. */
async function readByIds(client: MongoClient, source: Source, ns: Namespace, ids: readonly unknown[]) {
  const dot = ns.indexOf('.');
  const found = new Map<string, Fields>();
  for (let from = 0; from < ids.length; from += IDS_AT_ONCE) {
    const asked = ids.slice(from, from + IDS_AT_ONCE);
    const answer = await client.db(ns.slice(0, dot)).command(
      {
        find: ns.slice(dot + 1),
        filter: { _id: asked.length === 1 ? { $eq: asked[0] } : { $in: asked } },
        projection: Object.fromEntries(fieldPaths(source).map((field) => [field, 1])),
        batchSize: asked.length,
        singleBatch: true,
        readConcern: { level: 'majority' },
      },
      { readPreference: 'primary', ...TOLERANT_REPLY },
    );
    for (const raw of documentsOf(answer)) {
      const document = decodeReply(raw instanceof Uint8Array ? raw.slice() : raw);
      if (document !== null) found.set(keyOf(document['_id']), document);
    }
  }
  return found;
}
