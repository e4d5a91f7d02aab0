import { type Document, Int32 } from 'bson';
import { failedToParse, location } from '../errors.ts';
import { collatedKeys } from '../values/collation.ts';
import { compareValues, type StringOrder } from '../values/compare.ts';
import { toInteger } from '../values/numbers.ts';
import { isDocument, setField, typeName } from '../values/types.ts';
import { compileExpression, evaluate, type Scope } from './expression.ts';
import { isNullish } from './expression-arguments.ts';
import { PAUSE, type Pause, type Pulse, type Stage, sorted } from './flow.ts';
import { compileGroupField, type GroupField } from './group-fields.ts';
import { sortStage } from './stages-sort.ts';

interface GroupContext {
  readonly pulse: Pulse;
  /** The collation, by which strings are equal. */
  readonly options: { readonly strings?: StringOrder | undefined };
}

interface Group {
  readonly id: unknown;
  readonly fields: readonly { readonly name: string; readonly running: ReturnType<GroupField['start']> }[];
}

function startGroup(id: unknown, fields: readonly GroupField[]): Group {
  return { id, fields: fields.map((field) => ({ name: field.name, running: field.start() })) };
}

function feedGroup(group: Group, document: Document): void {
  const environment = { root: document, current: document, slots: [] };
  for (const { running } of group.fields) running.feed(environment);
}

function finishGroup({ id, fields }: Group): Document {
  const document: Document = { _id: id ?? null };
  for (const { name, running } of fields) setField(document, name, running.result());
  return document;
}

/** `$group`: groups in the order of their first document. */
export function compileGroup(spec: unknown, scope: Scope, context: GroupContext): Stage {
  if (!isDocument(spec)) throw location(15947, "a group's fields must be specified in an object");
  if (!Object.hasOwn(spec, '_id')) throw location(15955, 'a group specification must include an _id');
  const id = compileExpression(spec['_id'], scope);
  const fields = Object.entries(spec)
    .filter(([name]) => name !== '_id')
    .map(([name, field]: [string, unknown]) => compileGroupField(name, field, scope, context.options.strings));
  return groupBy((document) => evaluate(id, document), fields, context);
}

function groupBy(
  idOf: (document: Document) => unknown,
  fields: readonly GroupField[],
  { pulse, options }: GroupContext,
): Stage {
  return function* grouped(documents) {
    const keyOf = collatedKeys(options.strings);
    const groups = new Map<string, Group>();
    for (const document of documents) {
      if (document === PAUSE) {
        yield PAUSE;
        continue;
      }
      const id = idOf(document);
      const key = keyOf(id);
      let group = groups.get(key);
      if (group === undefined) {
        group = startGroup(id, fields);
        groups.set(key, group);
      }
      feedGroup(group, document);
      if (pulse.isDue()) yield PAUSE;
    }
    for (const group of groups.values()) {
      yield finishGroup(group);
      if (pulse.isDue()) yield PAUSE;
    }
  };
}

/** `$sortByCount`: the values of an expression with how often each occurs, most frequent first. */
export function compileSortByCount(spec: unknown, scope: Scope, context: GroupContext): Stage {
  const isExpression = isDocument(spec)
    ? Object.keys(spec)[0]?.startsWith('$') === true
    : typeof spec === 'string' && spec.startsWith('$');
  if (!isExpression)
    throw location(
      40149,
      'the sortByCount field must be defined as a $-prefixed path or an expression inside an object',
    );
  const group = compileGroup({ _id: spec, count: { $sum: new Int32(1) } }, scope, context);
  const sort = sortStage({ count: -1 }, context.pulse);
  return (documents) => sort(group(documents));
}

const COUNT_OUTPUT = { count: { $sum: new Int32(1) } };

function outputFields(spec: Document, scope: Scope, strings: StringOrder | undefined): GroupField[] {
  const output: unknown = spec['output'] ?? COUNT_OUTPUT;
  if (!isDocument(output)) throw location(40196, "The 'output' field must be an object");
  return Object.entries(output).map(([name, field]: [string, unknown]) =>
    compileGroupField(name, field, scope, strings),
  );
}

/** `$bucket`: documents by the boundaries that their value lies between. */
export function compileBucket(spec: unknown, scope: Scope, context: GroupContext): Stage {
  const { strings } = context.options;
  if (!isDocument(spec))
    throw location(40201, `Argument to $bucket stage must be an object, but found type: ${typeName(spec)}.`);
  refuseUnknown(spec, ['groupBy', 'boundaries', 'default', 'output'], 40197, '$bucket');
  const boundaries: unknown = spec['boundaries'];
  if (!Object.hasOwn(spec, 'groupBy') || !Object.hasOwn(spec, 'boundaries')) {
    throw location(40198, '$bucket requires groupBy and boundaries to be specified.');
  }
  if (!Array.isArray(boundaries))
    throw location(40200, `The $bucket 'boundaries' field must be an array, but found type: ${typeName(boundaries)}.`);
  if (boundaries.length < 2)
    throw location(
      40192,
      `The $bucket 'boundaries' field must have at least 2 values, but found ${boundaries.length} value(s).`,
    );
  const limits: readonly unknown[] = boundaries;
  for (const [index, limit] of limits.entries()) {
    if (index > 0 && compareValues(limits[index - 1], limit, strings) >= 0) {
      throw location(40194, "The 'boundaries' option to $bucket must be sorted");
    }
  }
  const by = compileExpression(spec['groupBy'], scope);
  const fields = outputFields(spec, scope, strings);
  const bucketOf = (document: Document): unknown => {
    const value = evaluate(by, document);
    for (let index = limits.length - 2; index >= 0; index--) {
      const isBelowEnd = compareValues(value, limits[index + 1], strings) < 0;
      if (isBelowEnd && !isNullish(value) && compareValues(value, limits[index], strings) >= 0) return limits[index];
    }
    if (Object.hasOwn(spec, 'default')) return spec['default'];
    throw location(40066, '$switch could not find a matching branch for an input, and no default was specified.');
  };
  const group = groupBy(bucketOf, fields, context);
  const sort = sortStage({ _id: 1 }, context.pulse, strings);
  return (documents) => sort(group(documents));
}

function refuseUnknown(spec: Document, known: readonly string[], code: number, name: string): void {
  for (const key of Object.keys(spec))
    if (!known.includes(key)) throw location(code, `Unrecognized option to ${name}: ${key}.`);
}

/** `$bucketAuto`: buckets of about equal size; equal values never part. */
export function compileBucketAuto(spec: unknown, scope: Scope, { pulse, options }: GroupContext): Stage {
  const { strings } = options;
  if (!isDocument(spec))
    throw location(40240, `The argument to $bucketAuto must be an object, but found type: ${typeName(spec)}.`);
  refuseUnknown(spec, ['groupBy', 'buckets', 'output', 'granularity'], 40245, '$bucketAuto');
  if (spec['granularity'] !== undefined) throw failedToParse('This server has no $bucketAuto granularity');
  const buckets = toInteger(spec['buckets']);
  if (!Object.hasOwn(spec, 'groupBy') || !Object.hasOwn(spec, 'buckets')) {
    throw location(40246, "$bucketAuto requires 'groupBy' and 'buckets' to be specified");
  }
  if (buckets === undefined) throw location(40241, "The $bucketAuto 'buckets' field must be a numeric value");
  if (buckets <= 0)
    throw location(40243, `The $bucketAuto 'buckets' field must be greater than 0, but found: ${buckets}`);
  const by = compileExpression(spec['groupBy'], scope);
  const fields = outputFields(spec, scope, strings);
  return function* filled(documents) {
    const rows: BucketRow[] = [];
    for (const document of documents) {
      if (document === PAUSE || pulse.isDue()) yield PAUSE;
      if (document !== PAUSE) rows.push({ document, value: evaluate(by, document) ?? null });
    }
    const compare = (a: BucketRow, b: BucketRow) => compareValues(a.value, b.value, strings);
    yield* fillBuckets(yield* sorted(rows, compare, pulse), buckets, compare, fields, pulse);
  };
}

interface BucketRow {
  readonly document: Document;
  readonly value: unknown;
}

function* fillBuckets(
  rows: readonly BucketRow[],
  buckets: number,
  compare: (a: BucketRow, b: BucketRow) => number,
  fields: readonly GroupField[],
  pulse: Pulse,
): Generator<Document | Pause, void> {
  const size = Math.max(1, Math.round(rows.length / buckets));
  let start = 0;
  for (let filled = 1; start < rows.length; filled += 1) {
    let end = filled === buckets ? rows.length : Math.min(rows.length, start + size);
    for (let next = rows[end]; next !== undefined; next = rows[end]) {
      const last = rows[end - 1];
      if (last === undefined || compare(last, next) !== 0) break;
      end += 1;
    }
    const max = rows[end]?.value ?? rows[end - 1]?.value;
    const group = startGroup({ min: rows[start]?.value, max }, fields);
    for (const row of rows.slice(start, end)) {
      feedGroup(group, row.document);
      if (pulse.isDue()) yield PAUSE;
    }
    yield finishGroup(group);
    start = end;
  }
}
