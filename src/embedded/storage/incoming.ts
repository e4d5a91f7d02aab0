import { type Document, ObjectId, type Timestamp } from 'bson';
import { CODES } from '../codes.ts';
import { badValue, CommandError, location } from '../errors.ts';
import { type ClusterTime, toTimestamp } from '../oplog/clock.ts';
import { encode } from '../values/bson.ts';
import { spend } from '../values/effort.ts';
import { MAX_DOCUMENT_BYTES } from '../wire/messages.ts';
import { checkRaw, type RawElement, rawElements, scanTopLevel, wrapElements } from '../wire/raw.ts';

/** https://www.mongodb.com/docs/manual/reference/limits/ */
const MAX_NESTING = 100;

const DOCUMENT = 3;
const ARRAY = 4;
const UNDEFINED = 6;
const REGEX = 11;
const TIMESTAMP = 17;

/** @throws CommandError 10334 BSONObjectTooLarge */
export function checkSize(bytes: number): void {
  if (bytes > MAX_DOCUMENT_BYTES) {
    throw new CommandError(
      CODES.BSONObjectTooLarge,
      `object to insert too large. size in bytes: ${bytes}, max size: ${MAX_DOCUMENT_BYTES}`,
    );
  }
}

/** Of a document of numbers, about: they take longest to go over. */
const BYTES_PER_STEP = 16;

/** @throws CommandError 15 Overflow, 50 */
export function checkNesting(raw: Buffer): void {
  spend(raw.length / BYTES_PER_STEP);
  if (checkRaw(raw) > MAX_NESTING) {
    throw new CommandError(CODES.Overflow, `Document exceeds maximum nested object depth: ${MAX_NESTING}`);
  }
}

/** Types of `_id` that need no second look: double, string, binary, ObjectId, boolean, date, int, long. */
const PLAIN_ID: ReadonlySet<number> = new Set([1, 2, 5, 7, 8, 9, 16, 18]);

function checkId(raw: Buffer, element: RawElement): void {
  const reason = {
    [ARRAY]: "can't use an array for _id",
    [REGEX]: "can't use a regex for _id",
    [UNDEFINED]: "can't use a undefined for _id",
  }[element.type];
  if (reason !== undefined) throw badValue(reason);
  if (element.type !== DOCUMENT) return;
  for (const { name } of rawElements(raw.subarray(element.valueStart, element.end))) {
    if (name.startsWith('$'))
      throw new CommandError(
        CODES.DollarPrefixedFieldName,
        `_id fields may not contain '$'-prefixed fields: ${name} is not valid for storage.`,
      );
  }
}

function idElement(): Buffer {
  const raw = Buffer.from(encode({ _id: new ObjectId() }));
  return raw.subarray(4, raw.length - 1);
}

/** A timestamp of all zeros at the top level stands for "now". */
function filledTimestamp(raw: Buffer, element: RawElement, now: () => ClusterTime): Buffer {
  const copy = Buffer.from(raw.subarray(element.start, element.end));
  const timestamp: Timestamp = toTimestamp(now());
  copy.writeBigUInt64LE(timestamp.toBigInt(), element.valueStart - element.start);
  return copy;
}

/**
 * A document as a client sent it, made ready to be stored: `_id` present and in first place, empty timestamps filled.
 * The result is a copy of its own; every other byte is the client's.
 *
 * @throws CommandError 2, 15, 10334
 */
export function incomingDocument(raw: Buffer, dollarNames: boolean, now: () => ClusterTime): Buffer {
  checkSize(raw.length);
  checkNesting(raw);
  const { idFirst, special } = scanTopLevel(raw);
  if (idFirst && !special && PLAIN_ID.has(raw[4] ?? 0)) return Buffer.from(raw);
  const rest: Buffer[] = [];
  let id: Buffer | undefined;
  let asIs = true;
  let at = 0;
  for (const element of rawElements(raw)) {
    const bytes = raw.subarray(element.start, element.end);
    if (element.name === '_id' && id === undefined) {
      checkId(raw, element);
      id = bytes;
      asIs = at === 0;
    } else if (element.type === TIMESTAMP && raw.readBigUInt64LE(element.valueStart) === 0n) {
      rest.push(filledTimestamp(raw, element, now));
      asIs = false;
    } else {
      if (!dollarNames && element.name.startsWith('$')) {
        throw badValue(`Document can't have $ prefixed field names: ${element.name}`);
      }
      rest.push(bytes);
    }
    at += 1;
  }
  if (id !== undefined && asIs) return Buffer.from(raw);
  return wrapElements([id ?? idElement(), ...rest]);
}

/** A computed document, checked as a stored one must be. @throws CommandError 15, 17419 */
export function encodeStored(document: Document): Buffer {
  const bytes = encode(document);
  const raw = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (raw.length > MAX_DOCUMENT_BYTES) {
    throw location(17419, `Resulting document after update is larger than ${MAX_DOCUMENT_BYTES}`);
  }
  checkNesting(raw);
  return raw;
}
