import { type Document, Long } from 'bson';
import type { CursorSource } from '../cursors.ts';
import { CommandError } from '../errors.ts';
import { compileFilter } from '../query/filter.ts';
import { compileProjection } from '../query/projection.ts';
import { compileSort } from '../query/sort.ts';
import { checkNamespace } from '../storage/catalog.ts';
import type { Collection } from '../storage/collection.ts';
import { planQuery } from '../storage/plan.ts';
import { createSearch, type Match } from '../storage/search.ts';
import { encode } from '../values/bson.ts';
import { collationOrder } from '../values/collation.ts';
import { documentSource, FIRST_BATCH, openCursor } from './batch.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import { collectionName, optionalBoolean, optionalCount, optionalDocument, optionalInteger } from './fields.ts';
import { tailSource } from './tailable.ts';
import { viewSource } from './views.ts';
import { unitOf } from './writebatch.ts';

export interface FindRequest {
  readonly filter: Document;
  readonly projection: Document | undefined;
  readonly sort: Document | undefined;
  readonly skip: number;
  readonly limit: number;
  readonly hint: unknown;
  readonly collation: Document | undefined;
  readonly variables: Document | undefined;
}

/** Reads what a find asks for. @throws CommandError */
export function findRequest(body: Document): FindRequest {
  const limit = optionalInteger(body, 'limit') ?? 0;
  if (limit < 0) throw new CommandError(2, 'BadValue', `Limit value must be non-negative, but received: ${limit}`);
  return {
    filter: optionalDocument(body, 'filter') ?? {},
    projection: optionalDocument(body, 'projection'),
    sort: nonEmpty(optionalDocument(body, 'sort')),
    skip: optionalCount(body, 'skip') ?? 0,
    limit: limit === 0 ? Number.POSITIVE_INFINITY : limit,
    hint: emptyHint(body['hint']),
    collation: optionalDocument(body, 'collation'),
    variables: optionalDocument(body, 'let'),
  };
}

function nonEmpty(document: Document | undefined): Document | undefined {
  return document === undefined || Object.keys(document).length === 0 ? undefined : document;
}

function emptyHint(hint: unknown): unknown {
  return typeof hint === 'object' && hint !== null && Object.keys(hint).length === 0 ? undefined : hint;
}

/** The documents that a find gives, as a source for a cursor. */
export function findSource(context: CommandContext, collection: Collection, request: FindRequest): CursorSource {
  const strings = collationOrder(request.collation);
  const variables = request.variables;
  const test = compileFilter(request.filter, { strings, ...(variables === undefined ? {} : { variables }) });
  const project =
    request.projection === undefined
      ? undefined
      : compileProjection(request.projection, { filter: test, ...(variables === undefined ? {} : { variables }) });
  const view = unitOf(context).view(collection);
  const plan = planQuery(
    collection,
    strings === undefined ? request.filter : {},
    strings === undefined ? request.sort : undefined,
    request.hint,
  );
  let operation = context.operation;
  const search = createSearch(view, plan, test, () => operation);
  const inOrder = request.sort === undefined || (plan.sorted && view.loose().length === 0);
  const compare = inOrder || request.sort === undefined ? undefined : compileSort(request.sort, strings);
  const output = ({ document, raw }: Match): Uint8Array => (project === undefined ? raw : encode(project(document)));
  let sorted: Match[] | undefined;
  let skipped = false;

  const pull = async (limit: number): Promise<Match[]> => {
    if (compare === undefined) {
      if (!skipped) {
        skipped = true;
        for (let left = request.skip; left > 0; ) {
          const passed = await search.next(Math.min(left, 1000));
          if (passed.length === 0) return [];
          left -= passed.length;
        }
      }
      return search.next(limit);
    }
    const ready = sorted ?? (await topSorted(search.next, compare, request.skip + request.limit)).slice(request.skip);
    sorted = ready.slice(limit);
    return ready.slice(0, limit);
  };
  return documentSource(async (limit, now) => {
    operation = now;
    return (await pull(limit)).map(output);
  }, request.limit);
}

/** All matches in order, or only as many as can be asked for: then no more than twice as many are held. */
async function topSorted(
  next: (limit: number) => Promise<Match[]>,
  compare: (a: Document, b: Document) => number,
  wanted: number,
): Promise<Match[]> {
  const byDocument = (a: Match, b: Match) => compare(a.document, b.document);
  let kept: Match[] = [];
  for (;;) {
    const matches = await next(1000);
    kept = kept.concat(matches);
    if (kept.length > wanted * 2 + 1000) kept = kept.sort(byDocument).slice(0, wanted);
    if (matches.length < 1000) return kept.sort(byDocument).slice(0, wanted);
  }
}

async function run(context: CommandContext): Promise<Document> {
  const { body, db } = context;
  const name = collectionName(body, 'find');
  checkNamespace(db, name);
  const request = findRequest(body);
  const namespace = `${db}.${name}`;
  const batchSize = optionalCount(body, 'batchSize') ?? FIRST_BATCH;
  const collection = unitOf(context).collection(db, name);
  if (collection === undefined) {
    compileFilter(request.filter);
    return { cursor: { id: Long.ZERO, ns: namespace, firstBatch: { rawBatch: [] } } };
  }
  const source =
    optionalBoolean(body, 'tailable') === true
      ? tailSource(context, collection, request, optionalBoolean(body, 'awaitData') ?? false)
      : collection.options.view === undefined
        ? findSource(context, collection, request)
        : await viewSource(context, collection, request);
  return openCursor(context, source, {
    namespace,
    batchSize,
    singleBatch: optionalBoolean(body, 'singleBatch') ?? false,
    noTimeout: optionalBoolean(body, 'noCursorTimeout') ?? false,
  });
}

export const find: Command = {
  name: 'find',
  fields: fields(
    'filter',
    'sort',
    'projection',
    'hint',
    'skip',
    'limit',
    'batchSize',
    'singleBatch',
    'max',
    'min',
    'returnKey',
    'showRecordId',
    'tailable',
    'oplogReplay',
    'noCursorTimeout',
    'awaitData',
    'allowPartialResults',
    'collation',
    'allowDiskUse',
    'let',
    'ntoreturn',
  ),
  unknownField: 9,
  inTransaction: true,
  run,
};
