import { type Document, Long, Timestamp } from 'bson';
import { CODES } from '../codes.ts';
import type { CursorSource } from '../cursors.ts';
import { badValue, CommandError } from '../errors.ts';
import { waitFor, yieldTurn } from '../operation.ts';
import { fromTimestamp, toTimestamp } from '../oplog/clock.ts';
import { type CatalogOperation, isDocumentOperation, type OplogEntry, type OplogOperation } from '../oplog/oplog.ts';
import { compileFilter } from '../query/filter.ts';
import { compileProjection } from '../query/projection.ts';
import { decode, encode } from '../values/bson.ts';
import { isDocument } from '../values/types.ts';
import { MAX_DOCUMENT_BYTES } from '../wire/messages.ts';
import { rawKey } from '../wire/raw.ts';
import type { CommandContext } from './command.ts';
import type { FindRequest } from './find-source.ts';

/** Whether a namespace is the oplog, which a standalone server has not. */
export const isOplog = ({ engine }: CommandContext, db: string, name: string): boolean =>
  db === 'local' && name === 'oplog.rs' && !engine.options.standalone;

/** The command that an entry about the catalog replays. */
function catalogCommand({ kind, db, coll, to, droppedTarget, description = {} }: CatalogOperation): Document {
  switch (kind) {
    case 'rename':
      return {
        renameCollection: `${db}.${coll}`,
        to: `${to?.db}.${to?.coll}`,
        ...(droppedTarget === undefined ? {} : { dropTarget: droppedTarget }),
      };
    case 'modify':
      return { collMod: coll, ...description };
    case 'dropDatabase':
      return { dropDatabase: 1 };
    case 'create':
    case 'drop':
    case 'createIndexes':
    case 'dropIndexes':
      return { [kind]: coll, ...description };
    default:
      return kind satisfies never;
  }
}

/** `op`, `ns`, `ui`, `o` and `o2` of one operation. */
function shownOperation(operation: OplogOperation): Document {
  if (operation.kind === 'noop') return { op: 'n', ns: '', o: { msg: operation.message } };
  if (!isDocumentOperation(operation)) {
    const { db, uuid } = operation;
    return { op: 'c', ns: `${db}.$cmd`, ...(uuid === undefined ? {} : { ui: uuid }), o: catalogCommand(operation) };
  }
  const { kind, db, coll, uuid, after, description } = operation;
  const place = { ns: `${db}.${coll}`, ui: uuid };
  if (kind === 'insert') return { op: 'i', ...place, o: decode(after) };
  if (kind === 'delete') return { op: 'd', ...place, o: decode(after) };
  const o2 = decode(rawKey(after));
  if (kind === 'replace') return { op: 'u', ...place, o: decode(after), o2 };
  const removed: unknown = description?.['removedFields'];
  const unset = Array.isArray(removed) ? Object.fromEntries(removed.map((path) => [String(path), true])) : {};
  const set: unknown = description?.['updatedFields'];
  return {
    op: 'u',
    ...place,
    o: {
      $v: 1,
      ...(Object.keys(unset).length === 0 ? {} : { $unset: unset }),
      ...(isDocument(set) && Object.keys(set).length > 0 ? { $set: set } : {}),
    },
    o2,
  };
}

/** An entry as 4.4 shows it; one of several operations is an `applyOps`. */
function shownEntry({ operations, time, term, wallTime, transaction }: OplogEntry): Document {
  const only = operations.length === 1 ? operations[0] : undefined;
  const what =
    only === undefined || transaction !== undefined
      ? { op: 'c', ns: 'admin.$cmd', o: { applyOps: operations.map(shownOperation) } }
      : shownOperation(only);
  const session =
    transaction === undefined ? {} : { lsid: transaction.lsid, txnNumber: Long.fromBigInt(transaction.txnNumber) };
  const times = { ts: toTimestamp(time), t: Long.fromNumber(term), wall: new Date(wallTime), v: Long.fromNumber(2) };
  return { ...session, ...what, ...times };
}

/** Every entry that is kept, oldest first. */
export function oplogDocuments({ engine: { oplog } }: CommandContext): Document[] {
  const documents: Document[] = [];
  for (let at = oplog.firstSequence; at < oplog.nextSequence; at += 1) {
    const entry = oplog.entry(at);
    if (entry !== undefined) documents.push(shownEntry(entry));
  }
  return documents;
}

/** Where a find that asks for times from some point on may begin. */
function firstSequence({ engine: { oplog } }: CommandContext, filter: Document): number {
  const ts: unknown = filter['ts'];
  const from: unknown = isDocument(ts) ? (ts['$gt'] ?? ts['$gte'] ?? ts['$eq']) : ts;
  return from instanceof Timestamp ? oplog.seek(fromTimestamp(from)) : oplog.firstSequence;
}

/**
 * A find on `local.oplog.rs`, in natural order or backwards; a tailable one goes on with what is written later.
 *
 * @throws CommandError 2 BadValue for another order
 */
export function oplogSource(
  context: CommandContext,
  request: FindRequest,
  { tails, awaits }: { readonly tails: boolean; readonly awaits: boolean },
): CursorSource {
  const { oplog } = context.engine;
  const order = Number(request.sort?.['$natural'] ?? 1);
  if (request.sort !== undefined && (Math.abs(order) !== 1 || Object.keys(request.sort).length !== 1)) {
    throw badValue('local.oplog.rs is read in natural order only: {$natural: 1} or {$natural: -1}');
  }
  const test = compileFilter(request.filter);
  const project =
    request.projection === undefined ? undefined : compileProjection(request.projection, { filter: test });
  let sequence = order === 1 ? firstSequence(context, request.filter) : oplog.nextSequence - 1;
  let { skip, limit: left } = request;

  const entryHere = (): OplogEntry | undefined => {
    if (sequence >= oplog.firstSequence) return oplog.entry(sequence);
    if (order === -1) return undefined;
    if (tails)
      throw new CommandError(
        CODES.CappedPositionLost,
        'CollectionScan died due to position in capped collection being deleted',
      );
    sequence = oplog.firstSequence;
    return oplog.entry(sequence);
  };

  return {
    tailing: tails,
    changeStream: false,
    async next(limit, operation, waitMs) {
      const deadline = Date.now() + (awaits ? waitMs : 0);
      const documents: Uint8Array[] = [];
      let bytes = 0;
      for (;;) {
        for (let entry = entryHere(); entry !== undefined; entry = entryHere()) {
          if (documents.length >= limit || left <= 0) break;
          const document = shownEntry(entry);
          if (test(document)) {
            const raw = encode(project === undefined ? document : project(document));
            if (documents.length > 0 && bytes + raw.length > MAX_DOCUMENT_BYTES) return { documents, done: false };
            if (skip > 0) skip -= 1;
            else {
              documents.push(raw);
              bytes += raw.length;
              left -= 1;
            }
          }
          sequence += order;
          await yieldTurn(operation);
        }
        if (!tails) return { documents, done: left <= 0 || documents.length < limit };
        const waitLeftMs = deadline - Date.now();
        if (documents.length > 0 || waitLeftMs <= 0) return { documents, done: false };
        const seen = oplog.nextSequence;
        await waitFor(operation, (callback) => oplog.whenAppended(seen, callback), waitLeftMs);
      }
    },
  };
}
