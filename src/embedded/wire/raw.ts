import { CODES } from '../codes.ts';
import { CommandError, typeMismatch } from '../errors.ts';
import { textOf } from '../values/text.ts';

/** One element of a raw document: its type byte, its name, and where its value stands in the buffer. */
export interface RawElement {
  readonly type: number;
  readonly name: string;
  /** Offset of the type byte, from the buffer's start. */
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

export const TYPE_DOCUMENT = 0x03;
export const TYPE_ARRAY = 0x04;

/** The server's own nesting bound for what arrives in a message (stored documents have a lower one). */
const MAX_MESSAGE_DEPTH = 180;

const FIXED_SIZES: Readonly<Record<number, number>> = {
  1: 8, // double
  6: 0, // undefined
  7: 12, // ObjectId
  8: 1, // boolean
  9: 8, // date
  10: 0, // null
  16: 4, // int32
  17: 8, // timestamp
  18: 8, // int64
  19: 16, // decimal128
  127: 0, // max key
  255: 0, // min key
};

function invalid(reason: string): CommandError {
  return new CommandError(CODES.InvalidBSON, `invalid BSON: ${reason}`);
}

function cstringEnd(buffer: Buffer, from: number, limit: number): number {
  const end = buffer.indexOf(0, from);
  if (end < 0 || end >= limit) throw invalid('unterminated name');
  return end + 1;
}

function stringEnd(buffer: Buffer, at: number, limit: number): number {
  if (at + 5 > limit) throw invalid('truncated string');
  const length = buffer.readInt32LE(at);
  const end = at + 4 + length;
  if (length < 1 || end > limit || buffer[end - 1] !== 0) throw invalid('bad string length');
  return end;
}

/** Where the value of the given type that begins at `at` ends; never beyond `limit`. */
export function valueEnd(buffer: Buffer, type: number, at: number, limit: number): number {
  const fixed = FIXED_SIZES[type];
  let end: number;
  if (fixed !== undefined) end = at + fixed;
  else if (type === 2 || type === 13 || type === 14) end = stringEnd(buffer, at, limit);
  else if (type === TYPE_DOCUMENT || type === TYPE_ARRAY || type === 15) {
    if (at + 5 > limit) throw invalid('truncated document');
    const length = buffer.readInt32LE(at);
    end = at + length;
    if (length < 5) throw invalid('bad document length');
  } else if (type === 5) {
    if (at + 5 > limit) throw invalid('truncated binary');
    const length = buffer.readInt32LE(at);
    if (length < 0) throw invalid('bad binary length');
    end = at + 5 + length;
  } else if (type === 11) end = cstringEnd(buffer, cstringEnd(buffer, at, limit), limit);
  else if (type === 12) end = stringEnd(buffer, at, limit) + 12;
  else throw invalid(`unknown type ${type}`);
  if (end > limit) throw invalid('value beyond the end of its document');
  return end;
}

/**
 * The elements of the raw document that begins at `offset`, in their stored order.
 *
 * @throws CommandError 22 InvalidBSON when lengths or types do not hold.
 */
export function* rawElements(buffer: Buffer, offset = 0): Generator<RawElement, void> {
  if (offset + 5 > buffer.length) throw invalid('truncated document');
  const size = buffer.readInt32LE(offset);
  const last = offset + size - 1;
  if (size < 5 || last >= buffer.length || buffer[last] !== 0) throw invalid('bad document length');
  let at = offset + 4;
  while (at < last) {
    const type = buffer[at] ?? 0;
    const valueStart = cstringEnd(buffer, at + 1, last);
    const end = valueEnd(buffer, type, valueStart, last);
    yield { type, name: textOf(buffer, at + 1, valueStart - 1), start: at, valueStart, end };
    at = end;
  }
  if (at !== last) throw invalid('document does not end where it says');
}

/**
 * Checks a whole document, nested ones included, so that nothing later meets a length that lies.
 *
 * @returns the deepest nesting, 1 for a flat document.
 * @throws CommandError 22 InvalidBSON, 15 Overflow when nested deeper than the server reads.
 */
export function checkRaw(buffer: Buffer, offset = 0, depth = 1): number {
  if (depth > MAX_MESSAGE_DEPTH) {
    throw new CommandError(CODES.Overflow, `Document exceeds maximum nested object depth: ${MAX_MESSAGE_DEPTH}`);
  }
  if (offset + 5 > buffer.length) throw invalid('truncated document');
  const size = buffer.readInt32LE(offset);
  const last = offset + size - 1;
  if (size < 5 || last >= buffer.length || buffer[last] !== 0) throw invalid('bad document length');
  let at = offset + 4;
  let deepest = depth;
  while (at < last) {
    const type = buffer[at] ?? 0;
    const valueStart = cstringEnd(buffer, at + 1, last);
    const end = valueEnd(buffer, type, valueStart, last);
    if (type === TYPE_DOCUMENT || type === TYPE_ARRAY) {
      if (valueStart + buffer.readInt32LE(valueStart) !== end) throw invalid('bad document length');
      deepest = Math.max(deepest, checkRaw(buffer, valueStart, depth + 1));
    } else if (type === 15) checkCodeWithScope(buffer, valueStart, end, depth);
    else if (type === 8 && (buffer[valueStart] ?? 0) > 1) throw invalid('bad boolean');
    at = end;
  }
  if (at !== last) throw invalid('document does not end where it says');
  return deepest;
}

function checkCodeWithScope(buffer: Buffer, start: number, end: number, depth: number): void {
  const scope = stringEnd(buffer, start + 4, end);
  checkRaw(buffer, scope, depth + 1);
  if (scope + buffer.readInt32LE(scope) !== end) throw invalid('bad code with scope');
}

/** Where the value of the element at `start` begins. */
export const valueStartOf = (buffer: Buffer, start: number): number => cstringEnd(buffer, start + 1, buffer.length);

/** Whether the element at `start` has the name whose bytes these are. */
export function isNamed(buffer: Buffer, start: number, name: Buffer): boolean {
  for (let at = 0; at < name.length; at += 1) if (buffer[start + 1 + at] !== name[at]) return false;
  return buffer[start + 1 + name.length] === 0;
}

/** Where the first element with one of these names begins; -1 when the document has none. */
export function findElement(document: Buffer, names: readonly string[]): number {
  const last = document.readInt32LE(0) - 1;
  for (let at = 4; at < last; ) {
    const valueStart = valueStartOf(document, at);
    if (names.includes(textOf(document, at + 1, valueStart - 1))) return at;
    at = valueEnd(document, document[at] ?? 0, valueStart, last);
  }
  return -1;
}

/** The raw documents of an array element, as views into the same buffer. Elements of other types are an error. */
export function rawArrayDocuments(buffer: Buffer, element: RawElement, path: string): Buffer[] {
  const documents: Buffer[] = [];
  for (const item of rawElements(buffer, element.valueStart)) {
    if (item.type !== TYPE_DOCUMENT) {
      throw typeMismatch(`BSON field '${path}.${item.name}' is the wrong type, expected type 'object'`);
    }
    documents.push(buffer.subarray(item.valueStart, item.end));
  }
  return documents;
}

/** A raw document made of raw elements (each with its type byte and name). */
export function wrapElements(elements: readonly Buffer[]): Buffer {
  let size = 5;
  for (const element of elements) size += element.length;
  const document = Buffer.allocUnsafe(size);
  document.writeInt32LE(size, 0);
  let at = 4;
  for (const element of elements) at += element.copy(document, at);
  document[at] = 0;
  return document;
}

/** `{_id}` of a stored document, which has it in first place; an empty document when it has none. */
export function rawKey(raw: Buffer): Buffer {
  if (raw.length <= 5 || raw[5] !== 0x5f || raw[6] !== 0x69 || raw[7] !== 0x64 || raw[8] !== 0) return wrapElements([]);
  const end = valueEnd(raw, raw[4] ?? 0, 9, raw.length - 1);
  const key = Buffer.allocUnsafe(end + 1);
  raw.copy(key, 0, 0, end);
  key.writeInt32LE(end + 1, 0);
  key[end] = 0;
  return key;
}

/** What has to be looked at more closely before a document may be stored as it came. */
export interface TopLevel {
  /** `_id` stands first. */
  readonly idFirst: boolean;
  /** A name at the top level begins with `$`, or a timestamp may have to be filled in. */
  readonly special: boolean;
}

/** The same walk as rawElements, without making anything of the elements. */
export function scanTopLevel(raw: Buffer): TopLevel {
  const last = raw.length - 1;
  const idFirst = raw.length > 9 && raw[5] === 0x5f && raw[6] === 0x69 && raw[7] === 0x64 && raw[8] === 0;
  let special = false;
  for (let at = 4; at < last; ) {
    const type = raw[at] ?? 0;
    if (type === 0x11 || raw[at + 1] === 0x24) special = true;
    at = valueEnd(raw, type, cstringEnd(raw, at + 1, last), last);
  }
  return { idFirst, special };
}
