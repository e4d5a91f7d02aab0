import { Decimal128, type Document, Double, Int32, Long, ObjectId } from 'bson';
import { describe, expect, test } from 'vitest';
import { CommandError } from '../../../src/embedded/errors.ts';
import {
  compilePipeline,
  compileStreamStages,
  type PipelineContext,
  runPipeline,
} from '../../../src/embedded/query/aggregate.ts';
import { drained } from '../../../src/embedded/query/flow.ts';
import { decode, encode } from '../../../src/embedded/values/bson.ts';

const typed = (document: Document): Document => decode(encode(document));
const NOW = new Date('2026-11-24T13:00:00.000Z');

const OTHER: Record<string, Document[]> = {
  tables: [
    { _id: 'a', nome: 'Alfa', pai: null },
    { _id: 'b', nome: 'Beta', pai: 'a' },
    { _id: 'c', nome: 'Gama', pai: 'b' },
  ],
};

const context: PipelineContext = {
  lookup: (collection) => (OTHER[collection] ?? []).map(typed),
  options: { now: NOW, variables: { alvo: 'b' } },
};

function run(documents: Document[], pipeline: Document[]): Document[] {
  return runPipeline(documents.map(typed), pipeline.map(typed), context);
}

/** The value of one expression over one document. */
function value(expression: unknown, document: Document = {}): unknown {
  return run([document], [{ $replaceWith: { v: expression } }])[0]?.['v'];
}

function codeOf(pipeline: Document[], documents: Document[] = [{ a: 'x', n: 1 }]): number | undefined {
  try {
    run(documents, pipeline);
  } catch (error) {
    if (error instanceof CommandError) return error.code;
    throw error;
  }
  return undefined;
}

const NUMBERS = Array.from({ length: 8 }, (_, index) => ({
  _id: index,
  numero: index,
  mesa: index % 2 === 0 ? 'b' : 'a',
  t: new Date(1_700_000_000_000 + index * 1000),
}));

describe('a pipeline', () => {
  test('groups as the recorded server does', () => {
    const result = run(NUMBERS, [
      { $sort: { t: -1 } },
      { $group: { _id: '$mesa', ultimos: { $push: '$numero' }, n: { $sum: 1 }, max: { $max: '$t' } } },
      { $sort: { _id: 1 } },
    ]);
    expect(result).toEqual([
      typed({ _id: 'a', ultimos: [7, 5, 3, 1], n: 4, max: new Date(1_700_000_007_000) }),
      typed({ _id: 'b', ultimos: [6, 4, 2, 0], n: 4, max: new Date(1_700_000_006_000) }),
    ]);
  });

  test('groups numbers of different types together', () => {
    const rows = [{ a: new Int32(1) }, { a: new Long(1) }, { a: new Double(1) }, { a: Decimal128.fromString('1.00') }];
    expect(run(rows, [{ $group: { _id: '$a', n: { $sum: 1 } } }])).toHaveLength(1);
  });

  test('filters, pages, counts and projects', () => {
    const page = run(NUMBERS, [
      { $match: { _id: { $gte: 2 } } },
      { $sort: { _id: -1 } },
      { $skip: 1 },
      { $limit: 2 },
      { $project: { numero: 1 } },
    ]);
    expect(page).toEqual([typed({ _id: 6, numero: 6 }), typed({ _id: 5, numero: 5 })]);
    expect(run(NUMBERS, [{ $count: 'n' }])).toEqual([{ n: new Int32(8) }]);
    expect(run([], [{ $count: 'n' }])).toEqual([]);
  });

  test('unwinds arrays, also with index and empty ones', () => {
    const rows = [{ _id: 1, a: [7, 8] }, { _id: 2, a: [] }, { _id: 3 }, { _id: 4, a: 9 }];
    expect(run(rows, [{ $unwind: '$a' }]).map((row) => row['a'])).toEqual([new Int32(7), new Int32(8), new Int32(9)]);
    const all = run(rows, [{ $unwind: { path: '$a', includeArrayIndex: 'i', preserveNullAndEmptyArrays: true } }]);
    expect(all).toEqual([
      { ...typed({ _id: 1, a: 7 }), i: new Long(0) },
      { ...typed({ _id: 1, a: 8 }), i: new Long(1) },
      typed({ _id: 2, i: null }),
      typed({ _id: 3, i: null }),
      typed({ _id: 4, a: 9, i: null }),
    ]);
  });

  test('joins other collections by field and by pipeline', () => {
    const byField = run(
      [{ _id: 1, mesa: ['a', 'b'] }],
      [{ $lookup: { from: 'tables', localField: 'mesa', foreignField: '_id', as: 'm' } }],
    );
    expect(byField[0]?.['m']).toHaveLength(2);
    const byPipeline = run(
      [
        { _id: 1, m: 'a' },
        { _id: 2, m: 'c' },
      ],
      [
        {
          $lookup: {
            from: 'tables',
            let: { mesa: '$m' },
            pipeline: [{ $match: { $expr: { $eq: ['$_id', '$$mesa'] } } }, { $project: { nome: 1, _id: 0 } }],
            as: 'mesas',
          },
        },
      ],
    );
    expect(byPipeline.map((row) => row['mesas'])).toEqual([[{ nome: 'Alfa' }], [{ nome: 'Gama' }]]);
    const graph = run(
      [{ _id: 1 }],
      [
        {
          $graphLookup: {
            from: 'tables',
            startWith: 'c',
            connectFromField: 'pai',
            connectToField: '_id',
            as: 'linha',
            depthField: 'd',
          },
        },
      ],
    );
    expect(graph[0]?.['linha']).toEqual([
      { ...OTHER['tables']?.[2], d: new Long(0) },
      { ...OTHER['tables']?.[1], d: new Long(1) },
      { ...OTHER['tables']?.[0], d: new Long(2) },
    ]);
    expect(run([{ _id: 1 }], [{ $unionWith: { coll: 'tables', pipeline: [{ $limit: 1 }] } }])).toHaveLength(2);
  });

  test('facets, buckets and counts by value', () => {
    const [facets] = run(NUMBERS, [
      { $facet: { total: [{ $count: 'n' }], altos: [{ $match: { numero: { $gt: 6 } } }, { $project: { _id: 1 } }] } },
    ]);
    expect(facets).toEqual(typed({ total: [{ n: 8 }], altos: [{ _id: 7 }] }));
    expect(run(NUMBERS, [{ $bucket: { groupBy: '$numero', boundaries: [0, 3, 6], default: 'resto' } }])).toEqual(
      [
        { _id: 0, count: 3 },
        { _id: 3, count: 3 },
        { _id: 'resto', count: 2 },
      ].map(typed),
    );
    expect(run(NUMBERS, [{ $bucketAuto: { groupBy: '$numero', buckets: 2 } }])).toEqual(
      [
        { _id: { min: 0, max: 4 }, count: 4 },
        { _id: { min: 4, max: 7 }, count: 4 },
      ].map(typed),
    );
    expect(run(NUMBERS.slice(0, 3), [{ $sortByCount: '$mesa' }])).toEqual(
      [
        { _id: 'b', count: 2 },
        { _id: 'a', count: 1 },
      ].map(typed),
    );
    expect(run(NUMBERS, [{ $sample: { size: 3 } }])).toHaveLength(3);
  });

  test('reshapes documents', () => {
    const row = { _id: 1, a: { b: 2 }, l: [{ x: 1 }, { x: 2 }] };
    expect(run([row], [{ $set: { 'a.c': 3, 'l.y': '$_id' } }])).toEqual([
      typed({
        _id: 1,
        a: { b: 2, c: 3 },
        l: [
          { x: 1, y: 1 },
          { x: 2, y: 1 },
        ],
      }),
    ]);
    expect(run([row], [{ $unset: ['a.b', 'l'] }])).toEqual([typed({ _id: 1, a: {} })]);
    expect(run([row], [{ $replaceRoot: { newRoot: '$a' } }])).toEqual([typed({ b: 2 })]);
    expect(run([row], [{ $project: { _id: 0, soma: { $add: ['$a.b', 1] }, xs: '$l.x' } }])).toEqual([
      typed({ soma: 3, xs: [1, 2] }),
    ]);
    expect(run([row], [{ $project: { l: { x: 0 } } }])).toEqual([typed({ _id: 1, a: { b: 2 }, l: [{}, {}] })]);
    const secret = { _id: 1, nivel: 1, dentro: { nivel: 5, x: 1 }, fora: [{ nivel: 0 }, { nivel: 9 }] };
    expect(run([secret], [{ $redact: { $cond: [{ $gt: ['$nivel', 3] }, '$$PRUNE', '$$DESCEND'] } }])).toEqual([
      typed({ _id: 1, nivel: 1, fora: [{ nivel: 0 }] }),
    ]);
  });

  test('hands $out and $merge to the server', () => {
    const { run, output } = compilePipeline([{ $limit: new Int32(2) }, { $out: 'copia' }], {
      ...context,
      writes: true,
    });
    expect(drained(run(NUMBERS.map(typed)))).toHaveLength(2);
    expect(output).toEqual({ stage: '$out', operand: 'copia' });
    expect(() => compilePipeline([{ $out: 'copia' }], context)).toThrow(expect.objectContaining({ code: 2 }));
  });

  test.each<[string, Document[], number]>([
    ['an unknown stage', [{ $bogus: {} }], 40324],
    ['a stage of two names', [{ $match: {}, $limit: 1 }], 40323],
    ['$out before the end', [{ $out: 'x' }, { $match: {} }], 40601],
    ['a limit of zero', [{ $limit: 0 }], 15958],
    ['a group without _id', [{ $group: { n: { $sum: 1 } } }], 15955],
    ['an unknown accumulator', [{ $group: { _id: null, n: { $nope: 1 } } }], 15952],
    ['an unknown expression', [{ $set: { a: { $nope: 1 } } }], 168],
    ['an undefined variable', [{ $set: { a: '$$nope' } }], 17276],
    ['an empty projection', [{ $project: {} }], 51272],
    ['a mixed projection', [{ $project: { a: 1, b: 0 } }], 31254],
    ['colliding paths', [{ $project: { a: 1, 'a.b': 1 } }], 31249],
    ['a new root that is no document', [{ $replaceWith: '$a' }], 40228],
    ['a sum of text', [{ $set: { b: { $add: ['$a', 1] } } }], 16554],
    ['a division by zero', [{ $set: { b: { $divide: [1, 0] } } }], 16608],
    ['a failed conversion', [{ $set: { b: { $toInt: '$a' } } }], 241],
    ['a size of no array', [{ $set: { b: { $size: '$n' } } }], 17124],
    ['a bad facet', [{ $facet: { x: [{ $out: 'y' }] } }], 40600],
    ['an unwind without dollar', [{ $unwind: 'a' }], 28818],
    ['a bad sort order', [{ $sort: { a: 2 } }], 15975],
    ['a window stage of newer servers', [{ $setWindowFields: { sortBy: { n: 1 }, output: {} } }], 40324],
    ['$densify', [{ $densify: { field: 'n', range: { step: 1, bounds: 'full' } } }], 40324],
    ['$fill', [{ $fill: { output: { n: { method: 'linear' } } } }], 40324],
  ])('refuses %s', (_, pipeline, code) => {
    expect(codeOf(pipeline)).toBe(code);
  });
});

describe('an expression', () => {
  test.each<[string, unknown, unknown]>([
    ['int + int', { $add: [1, 2] }, new Int32(3)],
    ['int overflow', { $add: [2_147_483_647, 1] }, new Long(2_147_483_648)],
    ['long overflow', { $add: [Long.MAX_VALUE, 1] }, new Double(2 ** 63)],
    ['int + double', { $add: [1, new Double(2)] }, new Double(3)],
    ['decimal', { $add: [Decimal128.fromString('0.1'), Decimal128.fromString('0.2')] }, Decimal128.fromString('0.3')],
    [
      'decimals keep the digits that they were written with',
      { $add: [Decimal128.fromString('1.50'), Decimal128.fromString('1.50')] },
      Decimal128.fromString('3.00'),
    ],
    [
      'a product of decimals',
      { $multiply: [Decimal128.fromString('1.20'), Decimal128.fromString('-2.0')] },
      Decimal128.fromString('-2.400'),
    ],
    [
      'a decimal quotient of 34 digits',
      { $divide: [Decimal128.fromString('1'), Decimal128.fromString('3')] },
      Decimal128.fromString('0.3333333333333333333333333333333333'),
    ],
    [
      'a decimal that rounds to beyond its range',
      { $multiply: [Decimal128.fromString('9E6144'), 2] },
      Decimal128.fromString('Infinity'),
    ],
    [
      'a square root of 34 digits',
      { $sqrt: Decimal128.fromString('2') },
      Decimal128.fromString('1.414213562373095048801688724209698'),
    ],
    ['a decimal power', { $pow: [Decimal128.fromString('1.5'), 2] }, Decimal128.fromString('2.25')],
    ['half a decimal to even', { $round: [Decimal128.fromString('2.50'), 0] }, Decimal128.fromString('2')],
    [
      'a decimal rounded before its point',
      { $trunc: [Decimal128.fromString('-1299.5'), -2] },
      Decimal128.fromString('-1.2E+3'),
    ],
    ['date + int', { $add: [new Date(0), 5] }, new Date(5)],
    ['date - date', { $subtract: [new Date(9), new Date(4)] }, new Long(5)],
    ['division', { $divide: [4, 2] }, new Double(2)],
    ['mod', { $mod: [-7, 3] }, new Int32(-1)],
    ['multiply', { $multiply: [3, new Long(4)] }, new Long(12)],
    ['pow', { $pow: [2, 10] }, new Int32(1024)],
    ['pow to long', { $pow: [2, 40] }, Long.fromNumber(2 ** 40)],
    ['round half to even', { $round: [new Double(2.5), 0] }, new Double(2)],
    ['round before the point', { $round: [1250, -2] }, new Int32(1200)],
    ['trunc', { $trunc: [new Double(-2.7)] }, new Double(-2)],
    ['abs', { $abs: new Int32(-2_147_483_648) }, new Long(2_147_483_648)],
    ['sum of ints', { $sum: [1, 2, 'x'] }, new Int32(3)],
    ['sum of tenths', { $sum: Array.from({ length: 10 }, () => 0.1) }, new Double(1)],
    ['avg', { $avg: [1, 2] }, new Double(1.5)],
    ['avg of nothing', { $avg: [] }, null],
    ['size', { $size: [[1, 2]] }, new Int32(2)],
    ['cmp', { $cmp: [1, 'a'] }, new Int32(-1)],
    ['missing below null', { $lt: ['$nada', null] }, true],
    [
      'cond',
      {
        $cond: Object.fromEntries([
          ['if', 0],
          ['then', 1],
          ['else', 2],
        ]),
      },
      new Int32(2),
    ],
    [
      'switch',
      {
        $switch: {
          branches: [
            Object.fromEntries([
              ['case', false],
              ['then', 1],
            ]),
          ],
          default: 'x',
        },
      },
      'x',
    ],
    ['ifNull', { $ifNull: ['$nada', null, 3] }, new Int32(3)],
    ['let', { $let: { vars: { a: 2, b: 3 }, in: { $multiply: ['$$a', '$$b'] } } }, new Int32(6)],
    ['command variable', '$$alvo', 'b'],
    ['now', '$$NOW', NOW],
    ['map', { $map: { input: [1, 2], as: 'x', in: { $add: ['$$x', 1] } } }, [new Int32(2), new Int32(3)]],
    ['filter', { $filter: { input: [1, 2, 3], cond: { $gt: ['$$this', 1] } } }, [new Int32(2), new Int32(3)]],
    ['reduce', { $reduce: { input: [1, 2, 3], initialValue: 0, in: { $add: ['$$value', '$$this'] } } }, new Int32(6)],
    ['slice', { $slice: [[1, 2, 3], -2] }, [new Int32(2), new Int32(3)]],
    ['element', { $arrayElemAt: [[1, 2], -1] }, new Int32(2)],
    ['range', { $range: [0, 5, 2] }, [new Int32(0), new Int32(2), new Int32(4)]],
    [
      'zip',
      { $zip: { inputs: [['a'], ['b', 'c']], useLongestLength: true } },
      [
        ['a', 'b'],
        [null, 'c'],
      ],
    ],
    [
      'union',
      {
        $setUnion: [
          [1, 2],
          [2, 3],
        ],
      },
      [new Int32(1), new Int32(2), new Int32(3)],
    ],
    ['in', { $in: [new Double(2), [1, 2]] }, true],
    ['objectToArray', { $objectToArray: { a: 1 } }, [{ k: 'a', v: new Int32(1) }]],
    ['arrayToObject', { $arrayToObject: [[['a', 1]]] }, { a: new Int32(1) }],
    ['mergeObjects', { $mergeObjects: [{ a: 1 }, null, { b: 2 }] }, { a: new Int32(1), b: new Int32(2) }],
    ['concat', { $concat: ['a', 'b'] }, 'ab'],
    ['substrCP', { $substrCP: ['ação', 1, 2] }, 'çã'],
    ['split', { $split: ['a-b', '-'] }, ['a', 'b']],
    ['trim', { $trim: { input: ' x ' } }, 'x'],
    [
      'regexFind',
      { $regexFind: { input: 'mesa 7', regex: /(\d)/ } },
      { match: '7', idx: new Int32(5), captures: ['7'] },
    ],
    ['replaceAll', { $replaceAll: { input: 'a.a', find: 'a', replacement: { $literal: '$&' } } }, '$&.$&'],
    ['strLenBytes', { $strLenBytes: 'ção' }, new Int32(5)],
    ['toUpper', { $toUpper: 'abç' }, 'ABç'],
    ['type', { $type: new Long(1) }, 'long'],
    ['type of missing', { $type: '$nada' }, 'missing'],
    ['toInt', { $toInt: '12' }, new Int32(12)],
    ['toLong of date', { $toLong: new Date(5) }, new Long(5)],
    ['toDate', { $toDate: '2026-11-24T10:00:00-03:00' }, NOW],
    ['toString of ObjectId', { $toString: new ObjectId('650000000000000000000000') }, '650000000000000000000000'],
    ['convert with onError', { $convert: { input: 'x', to: 'int', onError: -1 } }, new Int32(-1)],
    ['hour in a zone', { $hour: { date: NOW, timezone: 'America/Sao_Paulo' } }, new Int32(10)],
    ['dayOfWeek', { $dayOfWeek: NOW }, new Int32(3)],
    ['isoWeek', { $isoWeek: new Date('2027-01-01T00:00:00Z') }, new Int32(53)],
    ['isoWeekYear', { $isoWeekYear: new Date('2027-01-01T00:00:00Z') }, new Long(2026)],
    [
      'dateToString',
      { $dateToString: { date: NOW, format: '%d/%m/%Y %H:%M %z', timezone: '-03:00' } },
      '24/11/2026 10:00 -0300',
    ],
    [
      'dateFromString',
      { $dateFromString: { dateString: '24/11/2026', format: '%d/%m/%Y' } },
      new Date('2026-11-24T00:00:00Z'),
    ],
    ['dateFromParts', { $dateFromParts: { year: 2026, month: 14, day: 1 } }, new Date('2027-02-01T00:00:00Z')],
    ['dateTrunc', { $dateTrunc: { date: NOW, unit: 'hour', binSize: 2 } }, new Date('2026-11-24T12:00:00Z')],
    ['dateDiff', { $dateDiff: { startDate: new Date(0), endDate: NOW, unit: 'year' } }, new Long(56)],
    [
      'dateAdd',
      { $dateAdd: { startDate: new Date('2026-01-31T00:00:00Z'), unit: 'month', amount: 1 } },
      new Date('2026-02-28T00:00:00Z'),
    ],
  ])('%s', (_, expression, expected) => {
    expect(value(expression)).toEqual(expected);
  });

  test('reads paths through arrays and leaves missing fields out', () => {
    expect(value('$a.b', { a: [{ b: 1 }, {}, { b: 2 }] })).toEqual([new Int32(1), new Int32(2)]);
    expect(run([{ _id: 1 }], [{ $replaceWith: { a: '$nada', b: ['$nada'] } }])).toEqual([{ b: [null] }]);
    expect(value({ $literal: '$a' })).toBe('$a');
  });
});

describe('change stream stages', () => {
  test('filter and reshape one event', () => {
    const stages = compileStreamStages([{ $match: { operationType: 'insert' } }, { $project: { operationType: 1 } }]);
    expect(stages({ _id: 1, operationType: 'insert', x: 1 })).toEqual({ _id: 1, operationType: 'insert' });
    expect(stages({ _id: 1, operationType: 'drop' })).toBeNull();
  });

  test('refuse other stages', () => {
    expect(() => compileStreamStages([{ $group: { _id: null } }])).toThrow(expect.objectContaining({ code: 20 }));
    expect(() => compileStreamStages([{ $bogus: 1 }])).toThrow(expect.objectContaining({ code: 40324 }));
  });
});
