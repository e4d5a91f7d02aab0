import os from 'node:os';
import { type Document, Int32 } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, failedToParse } from '../errors.ts';
import { compileFilter } from '../query/filter.ts';
import type { Collection } from '../storage/collection.ts';
import { type Plan, planQuery } from '../storage/plan.ts';
import { createSearch } from '../storage/search.ts';
import { isDocument } from '../values/types.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import { versionOf } from './diagnostics.ts';
import { documentList, optionalDocument, optionalInteger, wrongType } from './fields.ts';
import { unitOf } from './write-batch.ts';

interface Explained {
  readonly coll: string;
  readonly filter: Document;
  readonly sort: Document | undefined;
  readonly hint: unknown;
  readonly limit: number;
}

/** The query inside the command that is to be explained. @throws CommandError 59, 14 */
function explained(inner: Document): Explained {
  const [name = '', coll] = Object.entries(inner)[0] ?? [];
  if (typeof coll !== 'string') throw wrongType(`explain.${name}`, coll, 'string');
  const all = Number.POSITIVE_INFINITY;
  switch (name) {
    case 'find': {
      const limit = optionalInteger(inner, 'limit') ?? 0;
      return {
        coll,
        filter: optionalDocument(inner, 'filter') ?? {},
        sort: optionalDocument(inner, 'sort'),
        hint: inner['hint'],
        limit: limit > 0 ? limit : all,
      };
    }
    case 'count':
    case 'distinct':
      return { coll, filter: optionalDocument(inner, 'query') ?? {}, sort: undefined, hint: inner['hint'], limit: all };
    case 'findAndModify':
      return {
        coll,
        filter: optionalDocument(inner, 'query') ?? {},
        sort: optionalDocument(inner, 'sort'),
        hint: inner['hint'],
        limit: 1,
      };
    case 'update':
    case 'delete': {
      const [statement = {}] = documentList(inner[`${name}s`], `${name}.${name}s`);
      return {
        coll,
        filter: optionalDocument(statement, 'q') ?? {},
        sort: undefined,
        hint: statement['hint'],
        limit: all,
      };
    }
    case 'aggregate': {
      const pipeline = documentList(inner['pipeline'], 'aggregate.pipeline');
      const match: unknown = pipeline[0]?.['$match'];
      const sort: unknown = pipeline[isDocument(match) ? 1 : 0]?.['$sort'];
      return {
        coll,
        filter: isDocument(match) ? match : {},
        sort: isDocument(sort) ? sort : undefined,
        hint: inner['hint'],
        limit: all,
      };
    }
    default:
      throw new CommandError(CODES.CommandNotFound, `Explain failed due to unknown command: ${name}`);
  }
}

/** The plan as stages, the outermost first. */
function stages(plan: Plan, { filter, sort }: Explained): Document {
  const direction = plan.reverse ? 'backward' : 'forward';
  const scan: Document =
    plan.index === undefined
      ? { stage: 'COLLSCAN', filter, direction }
      : {
          stage: 'FETCH',
          filter,
          inputStage: {
            stage: 'IXSCAN',
            keyPattern: plan.index.spec.key,
            indexName: plan.index.spec.name,
            isMultiKey: plan.index.multikey,
            isUnique: plan.index.spec.unique,
            isSparse: plan.index.spec.sparse,
            isPartial: plan.index.partial && !plan.index.spec.sparse,
            direction,
          },
        };
  const sorts = sort !== undefined && Object.keys(sort).length > 0 && !plan.sorted;
  return sorts ? { stage: 'SORT', sortPattern: sort, inputStage: scan } : scan;
}

async function execute(
  context: CommandContext,
  collection: Collection,
  plan: Plan,
  wanted: Explained,
): Promise<Document> {
  const started = Date.now();
  const search = createSearch(
    unitOf(context).view(collection),
    plan,
    compileFilter(wanted.filter),
    () => context.operation,
  );
  const needsAll = wanted.sort !== undefined && !plan.sorted;
  const matches = await search.next(needsAll ? Number.POSITIVE_INFINITY : wanted.limit);
  return {
    executionSuccess: true,
    nReturned: new Int32(Math.min(matches.length, wanted.limit)),
    executionTimeMillis: new Int32(Date.now() - started),
    totalKeysExamined: new Int32(plan.index === undefined ? 0 : search.examined),
    totalDocsExamined: new Int32(search.examined),
    executionStages: stages(plan, wanted),
  };
}

/** The plan of a command that reads or writes by a query, executed when the verbosity asks for it. @throws CommandError */
export async function explainQuery(context: CommandContext, inner: Document, verbosity: string): Promise<Document> {
  const { db, engine } = context;
  const wanted = explained(inner);
  compileFilter(wanted.filter);
  const collection = unitOf(context).collection(db, wanted.coll);
  const plan = collection === undefined ? undefined : planQuery(collection, wanted.filter, wanted.sort, wanted.hint);
  const executes = verbosity !== 'queryPlanner' && plan !== undefined && collection !== undefined;
  return {
    queryPlanner: {
      plannerVersion: new Int32(1),
      namespace: `${db}.${wanted.coll}`,
      indexFilterSet: false,
      parsedQuery: wanted.filter,
      winningPlan: plan === undefined ? { stage: 'EOF' } : stages(plan, wanted),
      rejectedPlans: [],
    },
    ...(executes ? { executionStats: await execute(context, collection, plan, wanted) } : {}),
    serverInfo: {
      host: os.hostname(),
      port: new Int32(Number(context.connection.serverAddress.split(':').at(-1))),
      version: versionOf(engine),
    },
  };
}

export const explain: Command = {
  name: 'explain',
  fields: fields('verbosity'),
  unknownField: 40415,
  async run(context) {
    const { body } = context;
    const inner = optionalDocument(body, 'explain');
    if (inner === undefined) throw wrongType('explain.explain', body['explain'], 'object');
    const verbosity: unknown = body['verbosity'] ?? 'allPlansExecution';
    if (typeof verbosity !== 'string' || !['queryPlanner', 'executionStats', 'allPlansExecution'].includes(verbosity)) {
      throw failedToParse("verbosity string must be one of {'queryPlanner', 'executionStats', 'allPlansExecution'}");
    }
    return explainQuery(context, inner, verbosity);
  },
};
