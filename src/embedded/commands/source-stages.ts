import { type Document, Int32 } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, location } from '../errors.ts';
import type { Collection } from '../storage/collection.ts';
import { isDocument } from '../values/types.ts';
import type { CommandContext } from './command.ts';
import { currentOperations } from './current-op.ts';
import { collectionStats } from './stats.ts';

function missing(context: CommandContext, coll: string | undefined): CommandError {
  return new CommandError(
    CODES.NamespaceNotFound,
    `Unable to retrieve storageStats in $collStats stage :: caused by :: Collection [${context.db}.${coll}] not found.`,
  );
}

/** The documents of a first stage that makes its own, or undefined when the stage is not one of those. */
export async function sourceStage(
  context: CommandContext,
  coll: string | undefined,
  collection: Collection | undefined,
  stage: Document | undefined,
): Promise<Document[] | undefined> {
  if (stage === undefined) return undefined;
  const host = context.connection.serverAddress;
  if ('$collStats' in stage) {
    const spec: unknown = stage['$collStats'];
    if (collection === undefined) throw missing(context, coll);
    const ns = collection.namespace;
    return [
      {
        ns,
        host,
        localTime: new Date(),
        ...(isDocument(spec) && 'storageStats' in spec ? { storageStats: collectionStats(collection, 1) } : {}),
        ...(isDocument(spec) && 'count' in spec ? { count: new Int32(collection.records.size) } : {}),
      },
    ];
  }
  if ('$indexStats' in stage) {
    return [...(collection?.indexes.values() ?? [])].map(({ spec }) => ({
      name: spec.name,
      key: spec.key,
      host,
      spec: { v: new Int32(2), key: spec.key, name: spec.name, ...spec.options },
    }));
  }
  if ('$listLocalSessions' in stage || '$listSessions' in stage) {
    return [...context.engine.sessions.all()].map(({ lsid, lastUse }) => ({ _id: lsid, lastUse: new Date(lastUse) }));
  }
  if ('$currentOp' in stage) {
    if (context.db !== 'admin')
      throw new CommandError(
        CODES.InvalidNamespace,
        "$currentOp must be run against the 'admin' database with {aggregate: 1}",
      );
    return currentOperations(context, stage['$currentOp']);
  }
  if ('$documents' in stage && context.engine.modern) {
    const documents: unknown = stage['$documents'];
    if (!Array.isArray(documents) || !documents.every(isDocument)) {
      throw location(5858203, 'an array of documents is expected in $documents');
    }
    return documents;
  }
  return undefined;
}
