import { BSONError, DBRef, type Document, deserialize, serialize } from 'bson';
import { CommandError } from '../errors.ts';
import { isDocument, setField } from './types.ts';

/**
 * Keeps every BSON type apart: Int32, Double and Long stay what they are instead of becoming one JS number, binary
 * data stays Binary, and regular expressions keep the options that JavaScript lacks.
 */
const TYPED = {
  promoteValues: false,
  promoteLongs: false,
  promoteBuffers: false,
  bsonRegExp: true,
  allowObjectSmallerThanBufferSize: false,
} as const;

const REF_KEY = Buffer.from('$ref\0');

/**
 * Raw BSON to a document with typed values (Int32, Double, Long, Decimal128, Binary, ObjectId, Timestamp, Date,
 * BSONRegExp, string, boolean, null).
 *
 * Limits of a JavaScript object as the carrier: field names that are array indexes ("0", "17") come first, in
 * ascending order, whatever their place was; the deprecated type undefined becomes null when it is encoded again.
 * Documents that are stored and read back untouched never pass through here.
 *
 * @throws CommandError 22 InvalidBSON.
 */
export function decode(raw: Uint8Array): Document {
  let document: Document;
  try {
    document = deserialize(raw, TYPED);
  } catch (cause) {
    if (cause instanceof BSONError || cause instanceof RangeError) {
      throw new CommandError(22, 'InvalidBSON', cause.message);
    }
    throw cause;
  }
  if (!Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).includes(REF_KEY)) return document;
  const plain = plainReferences(document);
  return isDocument(plain) ? plain : document;
}

/**
 * A document to raw BSON. Plain JS numbers become Int32 or Double as the driver decides, bigint becomes Long.
 * `_id` comes first, as the server stores it, also when index-like field names would push it back.
 *
 * @throws CommandError 2 BadValue for what BSON cannot hold.
 */
export function encode(document: Document): Uint8Array {
  try {
    return serialize(idFirst(document), { ignoreUndefined: false, checkKeys: false });
  } catch (cause) {
    if (cause instanceof BSONError || cause instanceof RangeError) {
      throw new CommandError(2, 'BadValue', cause.message);
    }
    throw cause;
  }
}

function idFirst(document: Document): Document {
  if (!Object.hasOwn(document, '_id')) return document;
  for (const key in document) {
    if (key === '_id') return document;
    break;
  }
  const ordered = new Map<string, unknown>([['_id', document['_id']]]);
  for (const [key, value] of Object.entries(document)) if (key !== '_id') ordered.set(key, value);
  return ordered;
}

/** The decoder turns `{$ref, $id}` into the driver's DBRef; to a server it is a document like any other. */
function plainReferences(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plainReferences);
  if (value instanceof DBRef) {
    const document: Document = { $ref: value.collection, $id: plainReferences(value.oid) };
    if (value.db !== undefined && value.db !== '') document['$db'] = value.db;
    for (const [key, item] of Object.entries(value.fields)) setField(document, key, plainReferences(item));
    return document;
  }
  if (!isDocument(value)) return value;
  for (const [key, item] of Object.entries(value)) {
    const plain = plainReferences(item);
    if (plain !== item) setField(value, key, plain);
  }
  return value;
}
