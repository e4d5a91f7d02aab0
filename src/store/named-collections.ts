import type { MongoClient } from 'mongodb';
import type { Sources } from '../roulette/source.ts';
import type { TableId } from '../roulette/table.ts';
import { tableFrom } from '../roulette/table-document.ts';
import { placeOf } from './places.ts';
import { createReader } from './read.ts';

/** How long the server may take to find the collections that tables name, milliseconds. */
const NAMED_MS = 30_000;

/**
 * The collections that tables' own documents name, with the first table of each by `_id`. Rejects with the driver's
 * errors.
 */
export async function collectionsNamed(
  client: MongoClient,
  databases: readonly string[],
  sources: Sources,
): Promise<Map<string, TableId>> {
  const read = createReader({ maxTimeMs: NAMED_MS });
  const named = new Map<string, TableId>();
  for (const database of databases) {
    for (const name of sources.names) {
      const place = placeOf(client.db(database), name, sources);
      if (place?.source.kind !== 'metadados') continue;
      for (const document of await read(place, { colecao: { $type: 'string' } }, { _id: 1 }, 0)) {
        const parsed = tableFrom(document, place.source);
        const { table, collection } = parsed.ok ? parsed.value : { table: null, collection: null };
        if (table === null || collection === null || named.has(collection)) continue;
        const own = sources.of(collection);
        const isOwn = own?.kind === 'table-numbers' && own.table === table;
        if (isOwn || sources.isForeign(collection)) named.set(collection, table);
      }
    }
  }
  return named;
}
