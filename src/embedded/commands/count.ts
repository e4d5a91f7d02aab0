import type { Document } from 'bson';
import { badValue } from '../errors.ts';
import { compileFilter } from '../query/filter.ts';
import type { Collection } from '../storage/collection.ts';
import { ABOVE, type CollectionIndex, fieldKey } from '../storage/collection-index.ts';
import { valuesAtPath } from '../storage/paths.ts';
import { planQuery } from '../storage/plan.ts';
import { createSearch } from '../storage/search.ts';
import { decode } from '../values/bson.ts';
import { collatedKeys, collationOrder } from '../values/collation.ts';
import { compareValues } from '../values/compare.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import { snapshotTime } from './concerns.ts';
import { collectionName, optionalDocument, optionalInteger, wrongType } from './fields.ts';
import { pipelineSource } from './pipeline.ts';
import { counted } from './stats.ts';
import { unitOf } from './write-batch.ts';

const CHUNK = 1000;

/** Documents that match, or all that there are when nothing is asked. */
async function countMatches(
  context: CommandContext,
  collection: Collection,
  query: Document,
  stopAt: number,
): Promise<number> {
  const { body } = context;
  const view = unitOf(context).view(collection);
  if (Object.keys(query).length === 0 && context.transaction === undefined) return collection.records.size;
  const strings = collationOrder(optionalDocument(body, 'collation'));
  const plan = planQuery(collection, strings === undefined ? query : {}, undefined, body['hint']);
  const search = createSearch(view, plan, compileFilter(query, { strings }), () => context.operation);
  let n = 0;
  while (n < stopAt) {
    const matches = await search.next(Math.min(CHUNK, stopAt - n));
    n += matches.length;
    if (matches.length < CHUNK) break;
  }
  return n;
}

/** Until 4.4.14 these two take a text only. @throws CommandError 14 TypeMismatch */
function checkComment({ engine, body }: CommandContext, command: string): void {
  const comment: unknown = body['comment'];
  if (!engine.modern && comment !== undefined && typeof comment !== 'string')
    throw wrongType(`${command}.comment`, comment, 'string');
}

export const count: Command = {
  name: 'count',
  fields: fields('query', 'limit', 'skip', 'hint', 'collation', 'fields', 'queryOptions'),
  unknownField: 40415,
  async run(context) {
    const { body, db } = context;
    checkComment(context, 'count');
    const name = collectionName(body, 'count');
    const query = optionalDocument(body, 'query') ?? {};
    const limit = Math.abs(optionalInteger(body, 'limit') ?? 0);
    const skip = optionalInteger(body, 'skip') ?? 0;
    if (skip < 0) throw badValue(`Skip value must be non-negative, but received: ${skip}`);
    const collection = unitOf(context).collection(db, name);
    if (collection === undefined) {
      compileFilter(query);
      return { n: counted(0) };
    }
    const bound = limit === 0 ? Number.POSITIVE_INFINITY : limit;
    if (collection.options.view !== undefined) {
      const source = await pipelineSource(context, name, [{ $match: query }, { $count: 'n' }]);
      const { documents } = await source.next(1, context.operation, 0);
      const first = documents[0];
      const n = first === undefined ? 0 : Number(decode(first)['n']);
      return { n: counted(Math.min(bound, Math.max(0, n - skip))) };
    }
    const n = await countMatches(context, collection, query, bound + skip);
    return { n: counted(Math.min(bound, Math.max(0, n - skip))) };
  },
};

/** An index that begins with the field and holds every document. */
function indexOn(collection: Collection, path: string): CollectionIndex | undefined {
  for (const index of collection.indexes.values()) {
    if (index.fields[0]?.path === path && !index.partial) return index;
  }
  return undefined;
}

/** Jumps from one key to the next different one: as many steps as there are distinct values. */
function* distinctByIndex(collection: Collection, index: CollectionIndex, path: string): Generator<unknown, void> {
  const field = index.fields[0];
  let from = '';
  for (;;) {
    const next = index.keys.scan(from, undefined).next();
    if (next.done === true) return;
    const raw = collection.records.get(next.value.id);
    const values = valuesAtPath(raw === undefined ? {} : decode(raw), path);
    const at = values.findIndex((one) => next.value.key.startsWith(fieldKey(field, one)));
    if (at >= 0) yield values[at];
    from = (at >= 0 ? fieldKey(field, values[at]) : next.value.key) + ABOVE;
  }
}

export const distinct: Command = {
  name: 'distinct',
  fields: fields('key', 'query', 'collation', 'hint'),
  unknownField: 40415,
  inTransaction: true,
  snapshotReads: true,
  async run(context) {
    const { body, db } = context;
    checkComment(context, 'distinct');
    const name = collectionName(body, 'distinct');
    const key: unknown = body['key'];
    if (typeof key !== 'string') throw wrongType('distinct.key', key, 'string');
    const query = optionalDocument(body, 'query') ?? {};
    const strings = collationOrder(optionalDocument(body, 'collation'));
    const collection = unitOf(context).collection(db, name);
    const test = compileFilter(query, { strings });
    if (collection === undefined) return { values: [], ...snapshotTime(context) };
    const keyOf = collatedKeys(strings);
    const found = new Map<string, unknown>();
    const take = (value: unknown) => {
      if (value === undefined) return;
      // What a collation holds equal is one value: the first that was met.
      const itsKey = keyOf(value);
      if (!found.has(itsKey)) found.set(itsKey, value);
    };
    const index =
      Object.keys(query).length === 0 &&
      context.transaction === undefined &&
      context.snapshot === undefined &&
      strings === undefined
        ? indexOn(collection, key)
        : undefined;
    if (index !== undefined) for (const value of distinctByIndex(collection, index, key)) take(value);
    else if (collection.options.view !== undefined) {
      const source = await pipelineSource(context, name, [{ $match: query }]);
      const { documents } = await source.next(Number.POSITIVE_INFINITY, context.operation, 0);
      for (const raw of documents) for (const value of valuesAtPath(decode(raw), key)) take(value);
    } else {
      const plan = planQuery(collection, strings === undefined ? query : {}, undefined, body['hint']);
      const search = createSearch(unitOf(context).view(collection), plan, test, () => context.operation);
      for (let matches = await search.next(CHUNK); matches.length > 0; matches = await search.next(CHUNK)) {
        for (const { document } of matches) for (const value of valuesAtPath(document, key)) take(value);
      }
    }
    return { values: [...found.values()].sort((a, b) => compareValues(a, b)), ...snapshotTime(context) };
  },
};
