import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import type { CursorSource } from '../cursors.ts';
import { CommandError } from '../errors.ts';
import { nextTurn, TURN_MS, yieldTurn } from '../operation.ts';
import { compilePipeline, type PipelineContext } from '../query/aggregate.ts';
import type { FilterOptions } from '../query/filter.ts';
import { createPulse, type Flow, PAUSE, type Pause, type Pulse } from '../query/flow.ts';
import type { Collection } from '../storage/collection.ts';
import { decode, encode } from '../values/bson.ts';
import { collationOrder } from '../values/collation.ts';
import { toInteger } from '../values/numbers.ts';
import { isDocument } from '../values/types.ts';
import { documentSource, listSource } from './batch.ts';
import type { CommandContext } from './command.ts';
import { optionalDocument } from './fields.ts';
import { type FindRequest, findSource } from './find-source.ts';
import { isOplog, oplogDocuments } from './oplog-source.ts';
import { writeOutput } from './output.ts';
import { sourceStage } from './source-stages.ts';
import { commandVariables } from './variables.ts';
import { unitOf } from './write-batch.ts';

interface Pushed {
  readonly request: FindRequest;
  /** Stages that the query part does not cover. */
  readonly rest: readonly Document[];
}

/** Takes `$match`, `$sort`, `$skip` and `$limit` from the front: a find does them, with indexes and without decoding all. */
function pushDown(
  pipeline: readonly Document[],
  hint: unknown,
  collation: Document | undefined,
  variables: Document | undefined,
): Pushed {
  const filters: Document[] = [];
  let at = 0;
  const stage = (name: string): unknown => pipeline[at]?.[name];
  for (let filter = stage('$match'); isDocument(filter); filter = stage('$match')) {
    filters.push(filter);
    at += 1;
  }
  const sort = stage('$sort');
  if (isDocument(sort)) at += 1;
  const skip = toInteger(stage('$skip'));
  if (skip !== undefined && skip >= 0) at += 1;
  const limit = toInteger(stage('$limit'));
  if (limit !== undefined && limit > 0) at += 1;
  return {
    request: {
      filter: filters.length === 1 ? (filters[0] ?? {}) : filters.length === 0 ? {} : { $and: filters },
      projection: undefined,
      sort: isDocument(sort) && Object.keys(sort).length > 0 ? sort : undefined,
      skip: skip !== undefined && skip >= 0 ? skip : 0,
      limit: limit !== undefined && limit > 0 ? limit : Number.POSITIVE_INFINITY,
      hint,
      collation,
      variables,
    },
    rest: pipeline.slice(at),
  };
}

/** The results of a pipeline, computed as they are asked for; others get their turn at its pauses. */
function flowSource(flow: Flow): CursorSource {
  const results = flow[Symbol.iterator]();
  return documentSource(async (limit, operation) => {
    const batch: Document[] = [];
    while (batch.length < limit) {
      const next = results.next();
      if (next.done === true) break;
      if (next.value === PAUSE) await nextTurn(operation);
      else batch.push(next.value);
    }
    return batch;
  }, encode);
}

async function drain(source: CursorSource, context: CommandContext): Promise<Document[]> {
  const documents: Document[] = [];
  for (;;) {
    const batch = await source.next(Number.POSITIVE_INFINITY, context.operation, 0);
    for (const raw of batch.documents) {
      documents.push(decode(raw));
      const turn = yieldTurn(context.operation);
      if (turn !== undefined) await turn;
    }
    if (batch.done) return documents;
  }
}

/** A view's own pipeline comes before the one over it. */
export function resolveView(
  context: CommandContext,
  collection: Collection | undefined,
  pipeline: readonly Document[],
  depth = 0,
): { readonly collection: Collection | undefined; readonly pipeline: readonly Document[] } {
  const view = collection?.options.view;
  if (collection === undefined || view === undefined) return { collection, pipeline };
  if (depth > 20) throw new CommandError(CODES.ViewDepthLimitExceeded, 'View depth too deep or view cycle detected');
  const under = unitOf(context).collection(collection.db, view.on);
  return resolveView(context, under, [...view.pipeline, ...pipeline], depth + 1);
}

/** A cursor's source for an aggregation that is not a change stream. `$out` and `$merge` have been done when it returns. */
export async function pipelineSource(
  context: CommandContext,
  coll: string | undefined,
  given: readonly Document[],
): Promise<CursorSource> {
  const { body, db } = context;
  const collation = optionalDocument(body, 'collation');
  const variables = commandVariables(body);
  const options: FilterOptions = { strings: collationOrder(collation), variables, now: new Date() };
  const unit = unitOf(context);
  const { collection, pipeline } = resolveView(
    context,
    coll === undefined ? undefined : unit.collection(db, coll),
    given,
  );
  const pulse = createPulse(TURN_MS);
  const stages: PipelineContext = { options, pulse, writes: true, lookup: (name) => lookUp(context, pulse, name) };
  const ofOplog = coll !== undefined && isOplog(context, db, coll);
  const special = ofOplog ? oplogDocuments(context) : await sourceStage(context, coll, collection, pipeline[0]);
  const pushed = pushDown(pipeline, body['hint'], collation, variables);
  const rest = special === undefined ? pushed.rest : pipeline.slice(ofOplog ? 0 : 1);
  // Compiled before anything is read: a pipeline that does not parse is refused even where there is no collection.
  const whole = compilePipeline(special === undefined ? pipeline : rest, stages);
  if (special === undefined && coll === undefined) {
    throw new CommandError(
      CODES.InvalidNamespace,
      `{aggregate: 1} is not valid for '${String(Object.keys(pipeline[0] ?? {})[0])}'; a collection is required.`,
    );
  }
  if (special === undefined && rest.length === 0) {
    return collection === undefined ? listSource([]) : findSource(context, collection, pushed.request);
  }
  const { run, output } = rest.length === pipeline.length ? whole : compilePipeline(rest, stages);
  const input =
    special ?? (collection === undefined ? [] : await drain(findSource(context, collection, pushed.request), context));
  if (output === undefined) return flowSource(run(input));
  await writeOutput(context, output.stage, output.operand, await unhurried(run(input), context));
  return listSource([]);
}

/** Runs a pipeline; others get their turn at its pauses. @throws what the operation is interrupted with */
async function unhurried(flow: Flow, { operation }: CommandContext): Promise<Document[]> {
  const documents: Document[] = [];
  operation.check();
  for (const document of flow) {
    if (document === PAUSE) await nextTurn(operation);
    else documents.push(document);
  }
  operation.check();
  return documents;
}

function* lookUp(context: CommandContext, pulse: Pulse, name: string): Generator<Document | Pause, void> {
  const unit = unitOf(context);
  const { collection, pipeline } = resolveView(context, unit.collection(context.db, name), []);
  if (collection === undefined) return;
  const view = unit.view(collection);
  const all = function* documents(): Generator<Document | Pause, void> {
    for (const id of view.ids()) {
      const raw = view.get(id);
      if (raw !== undefined) yield decode(raw);
      if (pulse.isDue()) yield PAUSE;
    }
  };
  if (pipeline.length === 0) yield* all();
  else yield* compilePipeline(pipeline, { pulse, lookup: (inner) => lookUp(context, pulse, inner) }).run(all());
}
