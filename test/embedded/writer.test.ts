import {
  Binary,
  BSONRegExp,
  Code,
  Decimal128,
  type Document,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  serialize,
  Timestamp,
  UUID,
} from 'bson';
import { describe, expect, test } from 'vitest';
import { createWriter, rawBatch, type Writer } from '../../src/embedded/wire/writer.ts';

function written(write: (writer: Writer) => void, writer = createWriter()): Buffer {
  writer.clear();
  const place = writer.start();
  write(writer);
  writer.finish(place);
  return Buffer.from(writer.view());
}

const bytesOf = (document: Document): Buffer => Buffer.from(serialize(document, { ignoreUndefined: true }));

const EVERY_TYPE: Document = {
  double: 1.5,
  whole: new Double(3),
  minusZero: -0,
  text: 'número 17 🎰',
  empty: '',
  nested: { a: { b: [{ c: 1 }, 'x', null] }, none: {} },
  list: [],
  bytes: new Binary(Buffer.from([1, 2, 3])),
  uuid: new UUID('0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0f9'),
  absent: undefined,
  id: new ObjectId('665f1c2e9b1d8e3f4a5b6c7d'),
  yes: true,
  no: false,
  date: new Date(1_744_329_600_000),
  nothing: null,
  pattern: /^a+$/i,
  regex: new BSONRegExp('^b', 'ms'),
  code: new Code('return 1', { x: 1 }),
  int: new Int32(-7),
  largest: 2 ** 31 - 1,
  beyond: 2 ** 31,
  time: new Timestamp({ t: 4_000_000_000, i: 3_000_000_000 }),
  long: Long.fromString('-9007199254740993'),
  big: 2n ** 62n,
  decimal: Decimal128.fromString('1.10'),
  least: new MinKey(),
  most: new MaxKey(),
  'coração 🎲': 'a name beyond ASCII',
  '': 'no name',
};

describe('what the built-in server writes', () => {
  test.each(Object.keys(EVERY_TYPE))('is what the official encoder writes: %s', (name) => {
    const document = { before: 1, [name]: EVERY_TYPE[name], after: 'x' };
    expect(written((writer) => writer.fields(document))).toEqual(bytesOf(document));
  });

  test('is the same for all types in one document, and in memory that was used before', () => {
    const writer = createWriter();
    written((to) => to.fields({ text: 'ü'.repeat(200_000) }), writer);
    expect(written((to) => to.fields(EVERY_TYPE), writer)).toEqual(bytesOf(EVERY_TYPE));
  });

  test('grows with what is written', () => {
    const large = {
      short: 'é'.repeat(999),
      long: 'é🎰'.repeat(300_000),
      list: Array.from({ length: 5_000 }, (_, n) => n),
    };
    expect(written((writer) => writer.fields(large)).equals(bytesOf(large))).toBe(true);
  });

  test('takes stored documents as they are: one, many, none', () => {
    const documents = Array.from({ length: 120 }, (_, n) => ({ _id: n, text: 'x'.repeat(n * 20) }));
    const wanted = { first: documents[3], cursor: { batch: documents, none: [], ns: 'a.b' } };
    const raw = documents.map((document) => serialize(document));
    const bytes = written((writer) => {
      writer.raw('first', raw[3] ?? Buffer.alloc(0));
      writer.fields({ cursor: { batch: rawBatch(raw), none: rawBatch([]), ns: 'a.b' } });
    });
    expect(bytes.equals(bytesOf(wanted))).toBe(true);
  });

  test('takes a user document for what it is, whatever its fields are called', () => {
    const document = { value: { rawBatch: [1], rawDocument: 'x', firstBatch: null } };
    expect(written((writer) => writer.fields(document))).toEqual(bytesOf(document));
  });
});
