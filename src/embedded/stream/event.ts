import type { Document } from 'bson';
import { type CatalogOperation, type DocumentOperation, isDocumentOperation, type OplogEntry } from '../oplog/oplog.ts';
import { eventToken, type TokenVersion } from '../oplog/tokens.ts';
import { decode } from '../values/bson.ts';
import { rawKey } from '../wire/raw.ts';
import { createWriter, type Writer } from '../wire/writer.ts';
import { disambiguatedPaths } from './disambiguate.ts';

export type StreamOperation = DocumentOperation | CatalogOperation;

/** What tells events apart before any document is read. */
export interface EventHeader {
  readonly operationType: string;
  readonly ns?: Document;
  readonly to?: Document;
}

export interface EventOptions {
  readonly tokenVersion: TokenVersion;
  /** `wallTime`, `truncatedArrays`: since 6.0. */
  readonly modern: boolean;
  readonly showExpandedEvents: boolean;
}

/** Events are written one at a time: into the same memory, then copied out. */
const writer = createWriter();

function written(fields: (to: Writer) => void): Buffer {
  writer.clear();
  const place = writer.start();
  fields(writer);
  writer.finish(place);
  return Buffer.from(writer.view());
}

/** The type and namespaces of an operation's event. */
export function eventHeader(operation: StreamOperation): EventHeader {
  const { kind, db, coll } = operation;
  const ns = coll === undefined ? { db } : { db, coll };
  return 'to' in operation && operation.to !== undefined
    ? { operationType: kind, ns, to: { ...operation.to } }
    : { operationType: kind, ns };
}

/** The resume token of the operation's event. */
export function tokenOf(
  entry: OplogEntry,
  operation: StreamOperation,
  operationIndex: number,
  version: TokenVersion,
): string {
  return eventToken(
    {
      clusterTime: entry.time,
      operationIndex,
      operationType: operation.kind,
      uuid: operation.uuid,
      document: isDocumentOperation(operation) ? operation.after : undefined,
    },
    version,
  );
}

/** `lookup` gives the document for fullDocument on updates: undefined leaves it out, null says that there is none. */
export interface EventImages {
  readonly full?: Uint8Array | null | undefined;
  readonly before?: Uint8Array | null | undefined;
}

/** The event as raw BSON; stored documents go in byte by byte. */
export function encodeEvent(
  entry: OplogEntry,
  operation: StreamOperation,
  token: string,
  images: EventImages,
  options: EventOptions,
): Buffer {
  const { operationType, ns, to } = eventHeader(operation);
  return written((event) => {
    if (entry.transaction !== undefined) {
      event.fields({ txnNumber: entry.transaction.txnNumber, lsid: entry.transaction.lsid });
    }
    writePlace(event, entry, token, operationType);
    if (options.showExpandedEvents) event.fields({ collectionUUID: operation.uuid });
    if (options.modern) event.fields({ wallTime: new Date(entry.wallTime) });
    writeImage(event, 'fullDocument', images.full);
    event.fields({ ns, to });
    if (isDocumentOperation(operation)) event.raw('documentKey', rawKey(operation.after));
    if (operation.kind === 'update') event.fields({ updateDescription: updateDescription(operation, options) });
    if (options.showExpandedEvents && !isDocumentOperation(operation)) {
      event.fields({ operationDescription: operation.description });
    }
    writeImage(event, 'fullDocumentBeforeChange', images.before);
  });
}

function writePlace(event: Writer, { time }: OplogEntry, token: string, operationType: string): void {
  event.fields({ _id: { _data: token }, operationType });
  event.time('clusterTime', time);
}

function updateDescription(operation: DocumentOperation, options: EventOptions): Document {
  const description = { updatedFields: {}, removedFields: [], ...operation.description };
  const modern = options.modern ? { truncatedArrays: [], ...description } : description;
  if (!options.showExpandedEvents) return modern;
  const paths = [...Object.keys(description.updatedFields), ...description.removedFields];
  return { ...modern, disambiguatedPaths: disambiguatedPaths(paths, decode(operation.after)) };
}

function writeImage(event: Writer, name: string, image: Uint8Array | null | undefined): void {
  if (image === null) event.fields({ [name]: null });
  else if (image !== undefined) event.raw(name, image);
}

/** The invalidate event that follows a change which ends the stream; it has that change's place. */
export function invalidateEvent(
  entry: OplogEntry,
  operation: StreamOperation,
  operationIndex: number,
  options: EventOptions,
): { readonly token: string; readonly raw: Buffer } {
  const token = eventToken(
    {
      clusterTime: entry.time,
      operationIndex,
      operationType: 'invalidate',
      uuid: operation.uuid,
      fromInvalidate: true,
    },
    options.tokenVersion,
  );
  const raw = written((event) => {
    writePlace(event, entry, token, 'invalidate');
    if (options.modern) event.fields({ wallTime: new Date(entry.wallTime) });
  });
  return { token, raw };
}
