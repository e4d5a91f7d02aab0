import {
  Binary,
  BSONRegExp,
  Decimal128,
  type Document,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
} from 'bson';
import fc from 'fast-check';

const names = fc.constantFrom('a', 'b', 'c', '_id', '0', 'constructor', '__proto__');

const numbers = fc.oneof(
  fc.integer({ min: -4, max: 4 }).map((value) => new Int32(value)),
  fc.maxSafeInteger().map((value) => Long.fromNumber(value)),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value) => Long.fromBigInt(value)),
  fc.double().map((value) => new Double(value)),
  fc.integer({ min: -4, max: 4 }).map((value) => new Double(value)),
  fc
    .constantFrom('0', '-0', '1', '1.0', '2.50', '1E+3', 'NaN', 'Infinity', '-Infinity', '0.1', '9007199254740993')
    .map((text) => Decimal128.fromString(text)),
);

const scalars = fc.oneof(
  numbers,
  fc.string({ maxLength: 3, unit: fc.constantFrom('a', 'b', 'é', '\u{1f600}', '\uffee') }),
  fc.boolean(),
  fc.constant(null),
  fc.date({ noInvalidDate: true, min: new Date(-10), max: new Date(10) }),
  fc.constantFrom(new ObjectId('000000000000000000000001'), new ObjectId('000000000000000000000002')),
  fc.nat(3).map((value) => new Timestamp({ t: value, i: 1 })),
  fc.uint8Array({ maxLength: 2 }).map((bytes) => new Binary(bytes)),
  fc.constantFrom(new BSONRegExp('a', ''), new BSONRegExp('b', 'i')),
  fc.constantFrom(new MinKey(), new MaxKey()),
);

const { value } = fc.letrec<{ value: unknown; array: unknown[]; document: Document }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    { weight: 4, arbitrary: scalars },
    tie('array'),
    tie('document'),
  ),
  array: fc.array(tie('value'), { maxLength: 3 }),
  document: fc.dictionary(names, tie('value'), { maxKeys: 3, noNullPrototype: true }),
}));

/** Any BSON value, of few enough kinds that equal ones meet. */
export const anyValue = value;

/** A document with an integer `_id` in first place. */
export const anyDocument: fc.Arbitrary<Document> = fc
  .tuple(fc.nat(5), fc.dictionary(fc.constantFrom('a', 'b', 'c'), value, { maxKeys: 3, noNullPrototype: true }))
  .map(([id, fields]) => ({ _id: new Int32(id), ...fields }));

const operators = fc.constantFrom(
  ...[
    '$eq',
    '$ne',
    '$gt',
    '$lt',
    '$in',
    '$nin',
    '$not',
    '$exists',
    '$type',
    '$size',
    '$all',
    '$elemMatch',
    '$mod',
    '$regex',
    '$options',
  ],
  ...[
    '$and',
    '$or',
    '$nor',
    '$expr',
    '$set',
    '$inc',
    '$push',
    '$pull',
    '$each',
    '$slice',
    '$sort',
    '$unset',
    '$rename',
    '$bit',
    '$jsonSchema',
  ],
  ...[
    '$add',
    '$cond',
    '$map',
    '$let',
    '$switch',
    '$dateToString',
    '$convert',
    '$filter',
    '$reduce',
    '$concat',
    '$bitsAllSet',
    '$currentDate',
  ],
  ...[
    '$match',
    '$project',
    '$group',
    '$unwind',
    '$lookup',
    '$facet',
    '$bucket',
    '$sum',
    '$avg',
    '$redact',
    '$replaceWith',
    '$zip',
    '$substrCP',
  ],
);

/** Documents that look like filters, updates, stages and expressions, most of them wrong. */
export const garbage: fc.Arbitrary<Document> = fc.letrec<{ node: unknown; document: Document }>((tie) => ({
  node: fc.oneof(
    { maxDepth: 4 },
    { weight: 3, arbitrary: value },
    { weight: 2, arbitrary: fc.constantFrom<unknown>('$a', '$$ROOT', '$$this', '$', 'x', '$a.b') },
    { weight: 3, arbitrary: tie('document') },
    fc.array(tie('node'), { maxLength: 3 }),
  ),
  document: fc.dictionary(
    fc.oneof(
      operators,
      fc.constantFrom('a', 'b', 'a.b', 'a.$', 'a.$[]', 'a.$[x]', 'a.0', '', '.', 'input', 'in', 'as', '_id'),
    ),
    tie('node'),
    { maxKeys: 3, noNullPrototype: true },
  ),
})).document;
