import type { Document } from 'bson';
import type { CursorSource } from '../cursors.ts';
import { badValue } from '../errors.ts';
import { nextTurn, type Operation, TURN_MS } from '../operation.ts';
import { compileFilter } from '../query/filter.ts';
import { createPulse, sorted } from '../query/flow.ts';
import { compileProjection } from '../query/projection.ts';
import { type SortValues, sortReader } from '../query/sort.ts';
import type { Collection } from '../storage/collection.ts';
import { planQuery } from '../storage/plan.ts';
import { createSearch, type Match } from '../storage/search.ts';
import { decode, encode } from '../values/bson.ts';
import { collationOrder } from '../values/collation.ts';
import { createHeld, sortTooLarge } from '../values/effort.ts';
import { documentSource } from './batch.ts';
import type { CommandContext } from './command.ts';
import { optionalCount, optionalDocument, optionalInteger } from './fields.ts';
import { commandVariables } from './variables.ts';
import { unitOf } from './write-batch.ts';

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
  if (limit < 0) throw badValue(`Limit value must be non-negative, but received: ${limit}`);
  return {
    filter: optionalDocument(body, 'filter') ?? {},
    projection: optionalDocument(body, 'projection'),
    sort: nonEmpty(optionalDocument(body, 'sort')),
    skip: optionalCount(body, 'skip') ?? 0,
    limit: limit === 0 ? Number.POSITIVE_INFINITY : limit,
    hint: emptyHint(body['hint']),
    collation: optionalDocument(body, 'collation'),
    variables: commandVariables(body),
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
  const inOrder = request.sort === undefined || (plan.sorted && !view.hasLoose());
  const order = inOrder || request.sort === undefined ? undefined : sortReader(request.sort, strings);
  const output = ({ raw, document }: Found): Uint8Array =>
    project === undefined ? raw : encode(project(document ?? decode(raw)));
  let rows: readonly Sorted[] | undefined;
  let position = request.skip;
  let skipped = false;

  const pull = async (limit: number): Promise<readonly Found[]> => {
    if (order === undefined) {
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
    rows ??= await topSorted(search.next, order, request.skip + request.limit, operation);
    const ready = rows.slice(position, position + limit);
    position += ready.length;
    return ready;
  };
  return documentSource(
    (limit, now) => {
      operation = now;
      return pull(limit);
    },
    output,
    request.limit,
  );
}

/**
 * All matches in order, or only as many as can be asked for: then no more than twice as many are held. What is held is
 * what the documents are sorted by and their bytes, which the collection holds anyway.
 */
async function topSorted(
  next: (limit: number) => Promise<Match[]>,
  { read, compare }: ReturnType<typeof sortReader>,
  wanted: number,
  operation: Operation,
): Promise<readonly Sorted[]> {
  const hold = createHeld(sortTooLarge);
  const inOrder = async (rows: readonly Sorted[]): Promise<readonly Sorted[]> => {
    const sorting = sorted(rows, compare, createPulse(TURN_MS));
    for (;;) {
      const step = sorting.next();
      if (step.done === true) return step.value;
      await nextTurn(operation);
    }
  };
  let kept: Sorted[] = [];
  for (;;) {
    const matches = await next(1000);
    for (const { document, raw } of matches) {
      const { values } = read(document);
      if (wanted === Number.POSITIVE_INFINITY) hold(values);
      kept.push({ raw, values });
    }
    const isEnd = matches.length < 1000;
    if (isEnd || kept.length > wanted * 2 + 1000) kept = (await inOrder(kept)).slice(0, wanted);
    if (isEnd) return kept;
  }
}

interface Found {
  readonly raw: Buffer;
  /** Where it is at hand. */
  readonly document?: Document;
}

interface Sorted extends SortValues {
  readonly raw: Buffer;
}
