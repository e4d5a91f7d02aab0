import { Binary, type Document, Long, Timestamp } from 'bson';
import { fromTimestamp, toTimestamp } from '../oplog/clock.ts';
import { isDocumentOperation, type Operation, type OplogEntry, type WriteOrigin } from '../oplog/oplog.ts';
import { toInteger } from '../values/numbers.ts';
import { isDocument } from '../values/types.ts';

/** The data file does not hold what this server writes. */
export class DataFileError extends Error {
  override readonly name = 'DataFileError';
}

type RestoredEntry = Omit<OplogEntry, 'sequence' | 'bytes'>;

function operationRecord(operation: Operation): Document {
  if (!isDocumentOperation(operation)) return { ...operation };
  const { after, before, ...rest } = operation;
  return {
    ...rest,
    after: new Binary(after),
    ...(before === undefined ? {} : { before: new Binary(before) }),
  };
}

/** An oplog entry as a record of the data file. */
export function entryRecord(entry: OplogEntry): Document {
  return {
    ts: toTimestamp(entry.time),
    term: entry.term,
    wall: entry.wallTime,
    ops: entry.operations.map(operationRecord),
    ...(entry.transaction === undefined
      ? {}
      : { txn: { lsid: entry.transaction.lsid, txnNumber: Long.fromBigInt(entry.transaction.txnNumber) } }),
    ...(entry.origins === undefined
      ? {}
      : { origins: entry.origins.map((origin) => ({ ...origin, txnNumber: Long.fromBigInt(origin.txnNumber) })) }),
  };
}

function bad(what: string): DataFileError {
  return new DataFileError(`the data file holds a record without a valid ${what}`);
}

function text(record: Document, name: string): string {
  const value: unknown = record[name];
  if (typeof value !== 'string') throw bad(name);
  return value;
}

function binary(record: Document, name: string): Binary {
  const value: unknown = record[name];
  if (!(value instanceof Binary)) throw bad(name);
  return value;
}

function bytes(record: Document, name: string): Buffer {
  return Buffer.from(binary(record, name).value());
}

function readOperation(record: unknown): Operation {
  if (!isDocument(record)) throw bad('operation');
  const kind = text(record, 'kind');
  const description: unknown = record['description'];
  const described = isDocument(description) ? { description } : {};
  switch (kind) {
    case 'noop':
      return { kind, message: text(record, 'message') };
    case 'insert':
    case 'update':
    case 'replace':
    case 'delete':
      return {
        kind,
        db: text(record, 'db'),
        coll: text(record, 'coll'),
        uuid: binary(record, 'uuid'),
        after: bytes(record, 'after'),
        ...(record['before'] === undefined ? {} : { before: bytes(record, 'before') }),
        ...described,
      };
    case 'create':
    case 'drop':
    case 'rename':
    case 'dropDatabase':
    case 'createIndexes':
    case 'dropIndexes':
    case 'modify': {
      const to: unknown = record['to'];
      return {
        kind,
        db: text(record, 'db'),
        ...(record['coll'] === undefined ? {} : { coll: text(record, 'coll') }),
        ...(record['uuid'] === undefined ? {} : { uuid: binary(record, 'uuid') }),
        ...(isDocument(to) ? { to: { db: text(to, 'db'), coll: text(to, 'coll') } } : {}),
        ...(record['droppedTarget'] === undefined ? {} : { droppedTarget: binary(record, 'droppedTarget') }),
        ...described,
      };
    }
    default:
      throw bad(`kind (${kind})`);
  }
}

function readOrigin(record: unknown): WriteOrigin {
  if (!isDocument(record)) throw bad('origin');
  const { lsid, txnNumber, statement, reply } = record;
  if (!isDocument(lsid) || !(txnNumber instanceof Long) || !isDocument(reply)) throw bad('origin');
  return { lsid, txnNumber: txnNumber.toBigInt(), statement: toInteger(statement) ?? 0, reply };
}

/** A record of the data file as an oplog entry. @throws DataFileError */
export function readEntry(record: Document): RestoredEntry {
  const time: unknown = record['ts'];
  const wall: unknown = record['wall'];
  const operations: unknown = record['ops'];
  if (!(time instanceof Timestamp) || !(wall instanceof Date) || !Array.isArray(operations)) throw bad('entry');
  const transaction: unknown = record['txn'];
  const origins: unknown = record['origins'];
  const number: unknown = isDocument(transaction) ? transaction['txnNumber'] : undefined;
  const lsid: unknown = isDocument(transaction) ? transaction['lsid'] : undefined;
  return {
    time: fromTimestamp(time),
    term: toInteger(record['term']) ?? 1,
    wallTime: wall,
    operations: operations.map(readOperation),
    ...(isDocument(lsid) && number instanceof Long ? { transaction: { lsid, txnNumber: number.toBigInt() } } : {}),
    ...(Array.isArray(origins) ? { origins: origins.map(readOrigin) } : {}),
  };
}
