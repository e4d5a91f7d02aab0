import { type Document, serialize } from 'bson';
import { toTimestamp } from '../oplog/clock.ts';
import { type CatalogOperation, type DocumentOperation, isDocumentOperation, type OplogEntry } from '../oplog/oplog.ts';
import { eventToken, type TokenVersion } from '../oplog/tokens.ts';
import { decode } from '../values/bson.ts';
import { rawKey } from '../wire/raw.ts';
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

/** A document to be written field by field; raw fields are copied as they are. */
interface EventWriter {
  raw(name: string, document: Uint8Array): void;
  plain(fields: Document): void;
  finish(): Buffer;
}

const heads = new Map<string, Buffer>();

/** Element heads of type document. The names are the few fields of events, so the map stays small. */
function documentHead(name: string): Buffer {
  const known = heads.get(name);
  if (known !== undefined) return known;
  const head = Buffer.concat([Buffer.from([0x03]), Buffer.from(`${name}\0`)]);
  heads.set(name, head);
  return head;
}

function createEventWriter(): EventWriter {
  const parts: Uint8Array[] = [];
  let size = 5;
  const add = (part: Uint8Array) => {
    parts.push(part);
    size += part.length;
  };
  return {
    raw(name, document) {
      add(documentHead(name));
      add(document);
    },
    plain(fields) {
      const bytes = serialize(fields);
      add(bytes.subarray(4, bytes.length - 1));
    },
    finish() {
      const document = Buffer.allocUnsafe(size);
      document.writeInt32LE(size, 0);
      let at = 4;
      for (const part of parts) {
        document.set(part, at);
        at += part.length;
      }
      document[at] = 0;
      return document;
    },
  };
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
      documentKey: isDocumentOperation(operation) ? decode(rawKey(operation.after)) : undefined,
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
  const writer = createEventWriter();
  const { operationType, ns, to } = eventHeader(operation);
  const transaction =
    entry.transaction === undefined ? {} : { txnNumber: entry.transaction.txnNumber, lsid: entry.transaction.lsid };
  const wall = options.modern ? { wallTime: entry.wallTime } : {};
  const expanded = options.showExpandedEvents && operation.uuid !== undefined ? { collectionUUID: operation.uuid } : {};
  writer.plain({
    ...transaction,
    _id: { _data: token },
    operationType,
    clusterTime: toTimestamp(entry.time),
    ...expanded,
    ...wall,
  });
  writeImage(writer, 'fullDocument', images.full);
  writer.plain({ ns, ...(to === undefined ? {} : { to }) });
  if (isDocumentOperation(operation)) writer.raw('documentKey', rawKey(operation.after));
  if (operation.kind === 'update') {
    const description = { updatedFields: {}, removedFields: [], ...operation.description };
    const modern = options.modern ? { truncatedArrays: [], ...description } : description;
    const paths = [...Object.keys(description.updatedFields), ...description.removedFields];
    const expandedPaths = options.showExpandedEvents
      ? { disambiguatedPaths: disambiguatedPaths(paths, decode(operation.after)) }
      : {};
    writer.plain({ updateDescription: { ...modern, ...expandedPaths } });
  }
  if (options.showExpandedEvents && !isDocumentOperation(operation) && operation.description !== undefined) {
    writer.plain({ operationDescription: operation.description });
  }
  writeImage(writer, 'fullDocumentBeforeChange', images.before);
  return writer.finish();
}

function writeImage(writer: EventWriter, name: string, image: Uint8Array | null | undefined): void {
  if (image === null) writer.plain({ [name]: null });
  else if (image !== undefined) writer.raw(name, image);
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
  const writer = createEventWriter();
  const wall = options.modern ? { wallTime: entry.wallTime } : {};
  writer.plain({ _id: { _data: token }, operationType: 'invalidate', clusterTime: toTimestamp(entry.time), ...wall });
  return { token, raw: writer.finish() };
}
