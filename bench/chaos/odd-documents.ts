import { connect } from 'node:net';
import { ObjectId } from 'bson';

/**
 * What MongoDB stores without complaint and drivers of other languages send, as raw BSON: bytes that are not UTF-8,
 * patterns that JavaScript cannot compile, deprecated types, values beyond what JavaScript holds (https://bsonspec.org).
 */

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
};

/** One element: its type byte, its name and the bytes of its value. */
export function element(type: number, name: string | Buffer, value: Buffer): Buffer {
  return Buffer.concat([Buffer.of(type), Buffer.from(name), Buffer.of(0), value]);
}

export function rawDocument(...elements: readonly Buffer[]): Buffer {
  const body = Buffer.concat(elements);
  return Buffer.concat([int32(body.length + 5), body, Buffer.of(0)]);
}

const text = (bytes: Buffer | string): Buffer => {
  const content = Buffer.from(bytes);
  return Buffer.concat([int32(content.length + 1), content, Buffer.of(0)]);
};
const pattern = (source: Buffer | string, options = ''): Buffer =>
  Buffer.concat([Buffer.from(source), Buffer.of(0), Buffer.from(options), Buffer.of(0)]);
const binary = (subtype: number, content: Buffer): Buffer =>
  Buffer.concat([int32(content.length), Buffer.of(subtype), content]);
const int64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return bytes;
};
const hex = (digits: string): Buffer => Buffer.from(digits, 'hex');
const nested = (depth: number): Buffer =>
  depth === 0 ? rawDocument(element(0x10, 'v', int32(1))) : rawDocument(element(0x03, 'd', nested(depth - 1)));

const LATIN1 = Buffer.from('S\u00e3o Paulo', 'latin1');
const CODE = text('function () {}');
const SCOPE = rawDocument(element(0x10, 'x', int32(1)));

/** Type and value of one odd field each, by what is odd about it. */
export const ODD_VALUES: Readonly<Record<string, { readonly type: number; readonly value: Buffer }>> = {
  'a string in latin-1': { type: 0x02, value: text(LATIN1) },
  'a string with half a surrogate pair': { type: 0x02, value: text(hex('58eda08058')) },
  'a string cut in the middle of a character': { type: 0x02, value: text(hex('e282')) },
  'a string of every byte above 127': {
    type: 0x02,
    value: text(Buffer.from(Array.from({ length: 128 }, (_, i) => 128 + i))),
  },
  'a long string with one bad byte': { type: 0x02, value: text(Buffer.concat([Buffer.alloc(5_000, 'x'), hex('ff')])) },
  'a string with a replacement character': { type: 0x02, value: text('a\ufffdb') },
  'a string with a null byte': { type: 0x02, value: text('a\0b') },
  'a string of characters beyond the first plane': { type: 0x02, value: text('\u{1f3b0}\u{10ffff}\ue000') },
  'an overlong encoding': { type: 0x02, value: text(hex('c080')) },
  'the deprecated undefined': { type: 0x06, value: Buffer.alloc(0) },
  'the deprecated DBPointer': { type: 0x0c, value: Buffer.concat([text('tables'), hex('0123456789abcdef01234567')]) },
  'the deprecated symbol': { type: 0x0e, value: text('red') },
  'a symbol in latin-1': { type: 0x0e, value: text(LATIN1) },
  code: { type: 0x0d, value: CODE },
  'code in latin-1': { type: 0x0d, value: text(LATIN1) },
  'code with a scope': {
    type: 0x0f,
    value: Buffer.concat([int32(4 + CODE.length + SCOPE.length), CODE, SCOPE]),
  },
  'a pattern only PCRE compiles': { type: 0x0b, value: pattern('(?i)roleta') },
  'a pattern with possessive repetition': { type: 0x0b, value: pattern('[[:alpha:]]++', 'x') },
  'a pattern that nothing compiles': { type: 0x0b, value: pattern('(((', 'i') },
  'a pattern in latin-1': { type: 0x0b, value: pattern(LATIN1) },
  'a pattern with options out of order': { type: 0x0b, value: pattern('a', 'xmi') },
  'a pattern with options nobody knows': { type: 0x0b, value: pattern('a', 'qz') },
  'a UUID of three bytes': { type: 0x05, value: binary(4, Buffer.from('abc')) },
  'a vector of two bytes': { type: 0x05, value: binary(9, Buffer.of(9, 9)) },
  'old binary data': { type: 0x05, value: binary(2, Buffer.concat([int32(3), Buffer.from('abc')])) },
  'old binary data with a length that lies': {
    type: 0x05,
    value: binary(2, Buffer.concat([int32(9), Buffer.from('abc')])),
  },
  'binary data of a user': { type: 0x05, value: binary(0x80, Buffer.alloc(300, 7)) },
  'empty binary data': { type: 0x05, value: binary(0, Buffer.alloc(0)) },
  'a date beyond JavaScript': { type: 0x09, value: int64(9_000_000_000_000_000n) },
  'the last date': { type: 0x09, value: int64(2n ** 63n - 1n) },
  'the first date': { type: 0x09, value: int64(-(2n ** 63n)) },
  'the largest long': { type: 0x12, value: int64(2n ** 63n - 1n) },
  'a negative zero': { type: 0x01, value: hex('0000000000000080') },
  'not a number': { type: 0x01, value: hex('000000000000f87f') },
  'a decimal of 34 digits': { type: 0x13, value: hex('ffffffff638e8d37c087adbe09edff5f') },
  'a decimal that is not canonical': { type: 0x13, value: hex('0000000000000000000000000000fe6f') },
  'a decimal that is no number': { type: 0x13, value: hex(`${'00'.repeat(15)}7c`) },
  'an infinite decimal': { type: 0x13, value: hex(`${'00'.repeat(15)}78`) },
  'the first long that a double does not hold': { type: 0x12, value: int64(2n ** 53n + 1n) },
  'the first date that JavaScript does not hold': { type: 0x09, value: int64(8_640_000_000_000_001n) },
  'the smallest key': { type: 0xff, value: Buffer.alloc(0) },
  'the largest key': { type: 0x7f, value: Buffer.alloc(0) },
  'a timestamp of the end of time': { type: 0x11, value: hex('ffffffffffffffff') },
  'a document that looks like a DBRef': {
    type: 0x03,
    value: rawDocument(
      element(0x02, '$ref', text('c')),
      element(0x10, '$id', int32(1)),
      element(0x10, '$db', int32(5)),
    ),
  },
  'names in latin-1': { type: 0x03, value: rawDocument(element(0x10, LATIN1, int32(1)), element(0x10, 'b', int32(2))) },
  'names that look like indexes': {
    type: 0x03,
    value: rawDocument(element(0x10, 'b', int32(1)), element(0x10, '10', int32(2)), element(0x10, '2', int32(3))),
  },
  'a name called __proto__': { type: 0x03, value: rawDocument(element(0x10, '__proto__', int32(1))) },
  'an empty name': { type: 0x03, value: rawDocument(element(0x10, '', int32(1))) },
  'an array of bad strings': {
    type: 0x04,
    value: rawDocument(element(0x02, '0', text(LATIN1)), element(0x02, '1', text('good'))),
  },
  'a pattern in a list in a document': {
    type: 0x03,
    value: rawDocument(element(0x04, 'list', rawDocument(element(0x0b, '0', pattern('((('))))),
  },
  'a list of a thousand patterns': {
    type: 0x04,
    value: rawDocument(...Array.from({ length: 1_000 }, (_, at) => element(0x0b, String(at), pattern('(?i)x')))),
  },
  'a name twice': { type: 0x03, value: rawDocument(element(0x10, 'a', int32(1)), element(0x02, 'a', text(LATIN1))) },
  'ninety levels': { type: 0x03, value: nested(90) },
};

/** The values that an `_id` may have; those that are equal to another one left out. */
export const ODD_IDS = Object.keys(ODD_VALUES).filter((name) => {
  const { type } = ODD_VALUES[name] ?? { type: 0 };
  if (['a symbol in latin-1', 'a negative zero', 'a decimal that is no number', 'an infinite decimal'].includes(name))
    return false;
  return type !== 0x04 && type !== 0x0b && type !== 0x06 && name !== 'a document that looks like a DBRef';
});

/** `{_id: ObjectId, ...before, odd: value, ...}` for each kind; `fields` are raw elements that stand before the odd one. */
export function oddDocuments(fields: readonly Buffer[] = []): { name: string; id: ObjectId; raw: Buffer }[] {
  return Object.entries(ODD_VALUES).map(([name, { type, value }]) => {
    const id = new ObjectId();
    return {
      name,
      id,
      raw: rawDocument(element(0x07, '_id', Buffer.from(id.id)), ...fields, element(type, 'odd', value)),
    };
  });
}

/** An OP_MSG of a command whose body is raw elements: `$db` is added. */
export function rawCommand(db: string, requestId: number, ...elements: readonly Buffer[]): Buffer {
  const body = rawDocument(...elements, element(0x02, '$db', text(db)));
  const head = Buffer.alloc(21);
  head.writeInt32LE(head.length + body.length, 0);
  head.writeInt32LE(requestId, 4);
  head.writeInt32LE(2013, 12);
  return Buffer.concat([head, body]);
}

/** An element that is an array of raw documents. */
export function rawArray(name: string, documents: readonly Buffer[]): Buffer {
  return element(0x04, name, rawDocument(...documents.map((document, at) => element(0x03, String(at), document))));
}

/** An element that is a string. */
export const rawString = (name: string, value: string): Buffer => element(0x02, name, text(value));

/** Sends a command as bytes that no driver would write, to the first server of the URI; resolves with the raw answer. */
export function sendRaw(uri: string, message: Buffer): Promise<Buffer> {
  const { hostname, port } = new URL(uri.split(',')[0] ?? uri);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(message));
    socket.once('data', (answer) => {
      socket.destroy();
      resolve(answer);
    });
    socket.once('error', reject);
  });
}
