import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import type { CursorSource } from '../cursors.ts';
import type { Engine } from '../engine.ts';
import { badValue, CommandError, location } from '../errors.ts';
import { waitFor } from '../operation.ts';
import { isDocumentOperation } from '../oplog/oplog.ts';
import { newUuid } from '../storage/catalog.ts';
import { keyString } from '../storage/key-string.ts';
import { decode } from '../values/bson.ts';
import { isDocument } from '../values/types.ts';
import { rawKey } from '../wire/raw.ts';
import type { EventImages, StreamOperation } from './event.ts';
import { compileEventPipeline } from './pipeline.ts';
import type { StreamScope } from './scope.ts';
import { streamStart } from './start.ts';
import { createChangeStream } from './stream.ts';

const OPTIONS_4_4 = [
  'fullDocument',
  'resumeAfter',
  'startAfter',
  'startAtOperationTime',
  'allChangesForCluster',
  'allowToRunOnConfigDB',
];
const OPTIONS_8_0 = [
  ...OPTIONS_4_4,
  'fullDocumentBeforeChange',
  'showExpandedEvents',
  'showSystemEvents',
  'showMigrationEvents',
  'matchCollectionUUIDForUpdateLookup',
];

/** Whether an aggregation opens a change stream. @throws CommandError 40602 when the stage stands elsewhere than first */
export function isChangeStream(pipeline: readonly Document[]): boolean {
  const at = pipeline.findIndex((stage) => Object.hasOwn(stage, '$changeStream'));
  if (at > 0) throw location(40602, '$changeStream is only valid as the first stage in a pipeline.');
  return at === 0;
}

interface StreamOptions {
  readonly spec: Document;
  readonly fullDocument: string;
  readonly before: string;
  readonly expanded: boolean;
}

function parseOptions(spec: unknown, modern: boolean): StreamOptions {
  if (!isDocument(spec)) throw location(50808, '$changeStream stage expects a document as argument.');
  const known = modern ? OPTIONS_8_0 : OPTIONS_4_4;
  for (const name of Object.keys(spec)) {
    if (!known.includes(name)) throw location(40415, `BSON field '$changeStream.${name}' is an unknown field.`);
  }
  const fullDocument: unknown = spec['fullDocument'] ?? 'default';
  const full = modern ? ['default', 'updateLookup', 'whenAvailable', 'required'] : ['default', 'updateLookup'];
  if (typeof fullDocument !== 'string' || !full.includes(fullDocument)) {
    throw new CommandError(
      modern ? CODES.BadValue : 40575,
      `unrecognized value for the 'fullDocument' option to the $changeStream stage. Expected "default" or "updateLookup", got "${String(fullDocument)}"`,
    );
  }
  const before: unknown = spec['fullDocumentBeforeChange'] ?? 'off';
  if (typeof before !== 'string' || !['off', 'whenAvailable', 'required'].includes(before)) {
    throw badValue(
      `Enumeration value '${String(before)}' for field '$changeStream.fullDocumentBeforeChange' is not a valid value.`,
    );
  }
  return { spec, fullDocument, before, expanded: spec['showExpandedEvents'] === true };
}

function scopeOf(spec: Document, db: string, coll: string | undefined): StreamScope {
  if (spec['allChangesForCluster'] === true) {
    if (db !== 'admin' || coll !== undefined) {
      throw new CommandError(
        CODES.InvalidOptions,
        "A $changeStream with 'allChangesForCluster:true' may only be opened on the 'admin' database, and with no collection name",
      );
    }
    return {};
  }
  if (db === 'admin' || db === 'local' || db === 'config') {
    throw new CommandError(CODES.InvalidNamespace, `$changeStream may not be opened on the internal ${db} database`);
  }
  if (coll?.startsWith('system.') === true)
    throw new CommandError(
      CODES.InvalidNamespace,
      `$changeStream may not be opened on the internal ${db}.${coll} collection`,
    );
  return coll === undefined ? { db } : { db, coll };
}

/** The document as it is now, for `updateLookup`: null when it is gone. */
function lookUp(engine: Engine, operation: StreamOperation): Uint8Array | null {
  if (!isDocumentOperation(operation)) return null;
  const collection = engine.catalog.byUuid(operation.uuid);
  const id = collection?.idIndex.keys.get(keyString(decode(rawKey(operation.after))['_id']));
  return (id === undefined ? undefined : collection?.records.get(id)) ?? null;
}

function imagesFor(engine: Engine, options: StreamOptions): (operation: StreamOperation) => EventImages {
  const kept = (operation: StreamOperation) =>
    engine.catalog.byUuid(operation.uuid ?? MISSING)?.options.preImages === true;
  const required = (name: string) =>
    new CommandError(
      CODES.NoMatchingDocument,
      `Change stream was configured to require a ${name}, but the ${name} was not found for the event`,
      { errorLabels: ['NonResumableChangeStreamError'] },
    );
  const full = (operation: StreamOperation): Uint8Array | null | undefined => {
    if (!isDocumentOperation(operation) || operation.kind === 'delete') return undefined;
    if (operation.kind !== 'update') return operation.after;
    if (options.fullDocument === 'default') return undefined;
    if (options.fullDocument === 'updateLookup') return lookUp(engine, operation);
    if (kept(operation)) return operation.after;
    if (options.fullDocument === 'required') throw required('post-image');
    return null;
  };
  const before = (operation: StreamOperation): Uint8Array | null | undefined => {
    if (options.before === 'off' || !isDocumentOperation(operation) || operation.kind === 'insert') return undefined;
    if (operation.before !== undefined) return operation.before;
    if (options.before === 'required') throw required('pre-image');
    return null;
  };
  return (operation) => ({ full: full(operation), before: before(operation) });
}

/** Stands for the collection of an operation that has none. */
const MISSING = newUuid();

/** Opens the stream that the pipeline's first stage describes. @throws CommandError */
export function openChangeStream(
  engine: Engine,
  db: string,
  coll: string | undefined,
  pipeline: readonly Document[],
): CursorSource {
  if (engine.options.standalone) {
    throw location(40573, 'The $changeStream stage is only supported on replica sets');
  }
  const options = parseOptions(pipeline[0]?.['$changeStream'], engine.modern);
  const scope = scopeOf(options.spec, db, coll);
  const stages = compileEventPipeline(pipeline.slice(1), engine.modern);
  const stream = createChangeStream({
    oplog: engine.oplog,
    scope,
    pipeline: stages,
    start: streamStart(options.spec, engine.oplog, engine.tokenVersion, engine.modern),
    options: { tokenVersion: engine.tokenVersion, modern: engine.modern, showExpandedEvents: options.expanded },
    images: imagesFor(engine, options),
    scanRate: () => engine.failPoints.scanRate,
  });
  return {
    tailing: true,
    changeStream: true,
    async next(limit, operation, waitMs) {
      const deadline = Date.now() + waitMs;
      for (;;) {
        const batch = await stream.take(limit, operation);
        operation.check();
        const left = deadline - Date.now();
        if (batch.documents.length > 0 || batch.ended || left <= 0) {
          return { documents: batch.documents, done: batch.ended, postBatchResumeToken: batch.token };
        }
        await waitFor(operation, stream.whenMore, left);
        // What the commands of one packet append goes into one batch, after their answers.
        await new Promise<void>((resolve) => process.nextTick(resolve));
      }
    },
  };
}
