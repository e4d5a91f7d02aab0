import type { MongoClient } from 'mongodb';
import { type ClusterTime, compareTimes, type Position } from '../protocol/position.ts';
import { fieldPaths } from '../roulette/fields.ts';
import type { Source } from '../roulette/source.ts';
import { type Change, createDecoder, type Namespace } from './change.ts';
import { type Fields, fieldsOr, isFields } from './fields.ts';
import { batchOf, openCursor } from './stream.ts';
import type { Watch } from './watch.ts';

const LEAN_BATCH = 100;
const LEAN_AWAIT_MS = 20;

/**
 * Reads what stands after `last` within one clusterTime, without documents, since one of them is too large to be sent;
 * the documents are read at rest instead. All of that clusterTime, because a stream can only be opened at its start or
 * after its end. Empty when there is nothing any more. Rejects with the driver's errors.
 */
export async function readOversized(
  client: MongoClient,
  watch: Watch,
  startAt: ClusterTime,
  last: Position,
): Promise<Change[]> {
  const lean = { database: watch.database, stages: watch.leanStages, startAt, batchSize: LEAN_BATCH };
  const cursor = await openCursor(client, lean);
  const decoder = createDecoder();
  const found: { readonly change: Change; readonly raw: Fields }[] = [];
  /** Takes a batch; true when the clusterTime was read to its end. */
  const take = (changes: readonly unknown[]): boolean => {
    for (const raw of changes) {
      const change = decoder.decode(raw);
      if (change === null || change.position <= last) continue;
      const first = found[0]?.change.time ?? change.time;
      if (compareTimes(change.time, first) > 0) return true;
      found.push({ change, raw: fieldsOr(raw) });
    }
    return changes.length === 0;
  };
  try {
    for (let open = cursor.first.open, done = false; open && !done; ) {
      const batch = await cursor.next(LEAN_AWAIT_MS);
      done = take(batch.changes);
      ({ open } = batch);
    }
  } finally {
    await cursor.close();
  }
  return await Promise.all(found.map(({ change, raw }) => documentOf(client, watch, change, raw)));
}

async function documentOf(client: MongoClient, watch: Watch, change: Change, raw: Fields): Promise<Change> {
  const source = watch.sourceOf(change.ns);
  if (change.kind !== 'insert' && change.kind !== 'replace' && change.kind !== 'update') return change;
  const { position, time, ns, wallTimeMs, key } = change;
  const document = source === null ? null : await readById(client, source, ns, fieldsOr(raw['documentKey'])['_id']);
  return { position, time, ns, wallTimeMs, key, kind: 'oversized', inserted: change.kind === 'insert', document };
}

/** Only the fields that matter: the rest is what made it too large. */
async function readById(client: MongoClient, source: Source, ns: Namespace, id: unknown): Promise<Fields | null> {
  const dot = ns.indexOf('.');
  const answer = await client.db(ns.slice(0, dot)).command(
    {
      find: ns.slice(dot + 1),
      filter: { _id: id },
      projection: Object.fromEntries(fieldPaths(source).map((field) => [field, 1])),
      limit: 1,
      singleBatch: true,
      readConcern: { level: 'majority' },
    },
    { readPreference: 'primary' },
  );
  const [document] = batchOf(answer);
  return isFields(document) ? document : null;
}
