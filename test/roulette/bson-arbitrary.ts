import { Binary, Code, Decimal128, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp } from 'bson';
import fc from 'fast-check';

const hex24 = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: 24, maxLength: 24 });

/** Any value that BSON can hold, among them those that nearly fit. */
export const bsonValue: fc.Arbitrary<unknown> = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(
      null,
      undefined,
      true,
      false,
      '',
      '0',
      '00',
      '07',
      '17',
      ' 5 ',
      '-1',
      '37',
      'NaN',
      '2010165',
      '2_2010165',
    ),
    fc.constantFrom(
      'TRIGGER',
      'neutral',
      'MORTO',
      'LIGADO',
      '2025-04-11T17:38:20.833123',
      '1fa13bd8-47f4-eaeb-1540-f203da568290',
    ),
    fc.integer({ min: -2, max: 40 }),
    fc.double(),
    fc.bigInt(),
    fc.string(),
    fc.date({ noInvalidDate: false }),
    fc.integer().map((value) => new Int32(value)),
    fc.double().map((value) => new Double(value)),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value) => Long.fromBigInt(value)),
    fc.constantFrom('0', '1E+3', 'NaN', '-Infinity', '17.0', '2010165').map((text) => Decimal128.fromString(text)),
    hex24.map((hex) => new ObjectId(hex)),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => new Binary(bytes)),
    fc.uint8Array({ maxLength: 20 }),
    fc.constantFrom(new MinKey(), new MaxKey(), new Code('x'), /x/i, new Timestamp({ t: 1, i: 2 })),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.dictionary(fc.constantFrom('a', '_bsontype', '__proto__', 'estado', '0', 'low'), tie('value'), { maxKeys: 4 }),
  ),
})).value;

const FIELDS = [
  '_id',
  'roleta_id',
  'roleta_nome',
  'nome',
  'numero',
  'cor',
  'timestamp',
  'estado',
  'estado_estrategia',
  'numero_gatilho',
  'terminais_gatilho',
  'terminais',
  'vitorias',
  'derrotas',
  'sugestao_display',
  'display_suggestion',
  'estrategia',
  '__proto__',
];

/** A document with some of the fields that we read, holding anything. */
export const anyDocument: fc.Arbitrary<Record<string, unknown>> = fc.dictionary(fc.constantFrom(...FIELDS), bsonValue);
