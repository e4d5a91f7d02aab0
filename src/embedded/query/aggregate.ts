import { type Document, Int32 } from 'bson';
import { CODES } from '../codes.ts';
import { badValue, CommandError, location } from '../errors.ts';
import { toInteger } from '../values/numbers.ts';
import { isDocument, setField, typeName } from '../values/types.ts';
import { chain, compileDocumentStage, type DocumentStage, stageOf } from './document-stages.ts';
import type { Scope } from './expression.ts';
import { rootScope } from './expression-scope.ts';
import type { FilterOptions } from './filter.ts';
import { drained, type Flow, forEach, gather, PAUSE, type Pulse, type Stage, UNHURRIED } from './flow.ts';
import { compileBucket, compileBucketAuto, compileGroup, compileSortByCount } from './stages-group.ts';
import { compileGraphLookup, compileLookup, compileUnionWith, type JoinContext } from './stages-join.ts';
import { sortStage } from './stages-sort.ts';
import { compileUnwind } from './stages-unwind.ts';

/** What a pipeline needs of the server that runs it. */
export interface PipelineContext {
  /** The documents of another collection of the same database; none when it does not exist. */
  readonly lookup: (collection: string) => Flow;
  /** Whether `$out` and `$merge` may stand at the end; their operands are checked by the server. */
  readonly writes?: boolean | undefined;
  /** Asked between documents whether it is time for a pause; without it the pipeline makes none. */
  readonly pulse?: Pulse | undefined;
  /** Collation, `$$NOW` and the command's `let`. */
  readonly options?: FilterOptions | undefined;
}

type StageCompiler = (spec: unknown, scope: Scope, context: JoinContext) => Stage;

function compileSortStage(spec: unknown, context: JoinContext): Stage {
  if (!isDocument(spec)) throw location(15973, 'the $sort key specification must be an object');
  if (Object.keys(spec).length === 0) throw location(15976, '$sort stage must have at least one sort key');
  return sortStage(spec, context.pulse, context.options.strings);
}

function compileLimit(spec: unknown): Stage {
  const limit = toInteger(spec);
  if (limit === undefined) throw location(15957, 'the limit must be specified as a number');
  if (limit <= 0) throw location(15958, 'the limit must be positive');
  return function* take(documents) {
    let left = limit;
    for (const document of documents) {
      yield document;
      if (document !== PAUSE) left -= 1;
      if (left === 0) return;
    }
  };
}

function compileSkip(spec: unknown): Stage {
  const count = toInteger(spec);
  if (count === undefined) throw location(15972, 'Argument to $skip must be a number');
  if (count < 0) throw location(15956, 'Argument to $skip cannot be negative');
  return function* skip(documents) {
    let left = count;
    for (const document of documents) {
      if (document !== PAUSE && left > 0) left -= 1;
      else yield document;
    }
  };
}

function compileCount(spec: unknown): Stage {
  if (typeof spec !== 'string') throw location(40156, 'the count field must be a non-empty string');
  if (spec === '') throw location(40156, 'the count field must be a non-empty string');
  if (spec.startsWith('$')) throw location(40158, 'the count field cannot be a $-prefixed path');
  if (spec.includes('.')) throw location(40160, "the count field cannot contain '.'");
  return function* counted(documents) {
    let count = 0;
    yield* forEach(documents, () => {
      count += 1;
    });
    if (count > 0) yield { [spec]: new Int32(count) };
  };
}

function compileSample(spec: unknown): Stage {
  const size = isDocument(spec) ? toInteger(spec['size']) : undefined;
  if (!isDocument(spec)) throw location(28745, 'the $sample stage specification must be an object');
  if (size === undefined) throw location(28746, 'size argument to $sample must be a number');
  if (size < 0) throw location(28747, 'size argument to $sample must not be negative');
  return function* sample(documents) {
    const pool = yield* gather(documents);
    for (let index = 0; index < Math.min(size, pool.length); index++) {
      const other = index + Math.floor(Math.random() * (pool.length - index));
      const [a, b] = [pool[index], pool[other]];
      if (a !== undefined && b !== undefined) [pool[index], pool[other]] = [b, a];
    }
    yield* pool.slice(0, size);
  };
}

function compileFacet(spec: unknown, scope: Scope, context: JoinContext): Stage {
  if (!isDocument(spec) || Object.keys(spec).length === 0) {
    throw location(40169, 'the $facet specification must be a non-empty object');
  }
  const facets = Object.entries(spec).map(([name, pipeline]: [string, unknown]): [string, Stage] => {
    if (!Array.isArray(pipeline))
      throw location(40170, `arguments to $facet must be arrays, ${name} is type ${typeName(pipeline)}`);
    for (const stage of pipeline) {
      const [inner] = stageOf(stage);
      if (inner === '$facet' || inner === '$out' || inner === '$merge') {
        throw location(40600, `${inner} is not allowed to be used within a $facet stage`);
      }
    }
    return [name, context.compile(pipeline, scope)];
  });
  return function* facet(documents) {
    const input = yield* gather(documents);
    const results: Document = {};
    for (const [name, stage] of facets) setField(results, name, yield* gather(stage(input)));
    yield results;
  };
}

const STAGES: Readonly<Record<string, StageCompiler>> = {
  $group: compileGroup,
  $sort: (spec, _scope, context) => compileSortStage(spec, context),
  $limit: compileLimit,
  $skip: compileSkip,
  $count: compileCount,
  $sample: compileSample,
  $facet: compileFacet,
  $sortByCount: compileSortByCount,
  $bucket: compileBucket,
  $bucketAuto: compileBucketAuto,
  $unwind: compileUnwind,
  $lookup: compileLookup,
  $unionWith: compileUnionWith,
  $graphLookup: compileGraphLookup,
};

function compileStage(stage: unknown, scope: Scope, context: JoinContext): Stage {
  const [name, spec] = stageOf(stage);
  const single = compileDocumentStage(name, spec, scope, context.options);
  if (single !== undefined) return eachDocument(single, context.pulse);
  if (name === '$out' || name === '$merge')
    throw location(40601, `${name} can only be the final stage in the pipeline`);
  const compiler = Object.hasOwn(STAGES, name) ? STAGES[name] : undefined;
  if (compiler === undefined) throw location(40324, `Unrecognized pipeline stage name: '${name}'`);
  return compiler(spec, scope, context);
}

function eachDocument(stage: DocumentStage, pulse: Pulse): Stage {
  return function* each(documents) {
    for (const document of documents) {
      if (document === PAUSE) {
        yield PAUSE;
        continue;
      }
      const result = stage(document);
      if (result !== null) yield result;
      if (pulse.isDue()) yield PAUSE;
    }
  };
}

/** A compiled pipeline, to be run over a collection's documents. */
export interface Pipeline {
  readonly run: Stage;
  /** `$out` or `$merge` at the end, which is the server's to carry out. */
  readonly output: { readonly stage: '$out' | '$merge'; readonly operand: unknown } | undefined;
}

/**
 * Compiles an aggregation pipeline.
 *
 * @throws CommandError 40324 for an unknown stage, 40601 for `$out` or `$merge` before the end, and what the stages throw
 */
export function compilePipeline(pipeline: readonly unknown[], context: PipelineContext): Pipeline {
  const last = pipeline.at(-1);
  const [lastName, operand] = last === undefined ? ['', undefined] : stageOf(last);
  const output: Pipeline['output'] =
    lastName === '$out' || lastName === '$merge' ? { stage: lastName, operand } : undefined;
  if (output !== undefined && context.writes !== true) throw badValue(`${output.stage} is not available here`);
  const join: JoinContext = {
    lookup: context.lookup,
    options: context.options ?? {},
    pulse: context.pulse ?? UNHURRIED,
    compile: (stages, scope) => {
      const compiled = stages.map((stage) => compileStage(stage, scope, join));
      return (documents) => compiled.reduce((flow, stage) => stage(flow), documents);
    },
  };
  const stages = output === undefined ? pipeline : pipeline.slice(0, -1);
  return { run: join.compile(stages, rootScope(context.options)), output };
}

/**
 * Runs an aggregation pipeline over documents, in one piece.
 *
 * @throws CommandError as compilePipeline, and what expressions throw while they are evaluated
 */
export function runPipeline(
  documents: Iterable<Document>,
  pipeline: readonly unknown[],
  context: PipelineContext,
): Document[] {
  return drained(compilePipeline(pipeline, context).run(documents));
}

/** https://www.mongodb.com/docs/manual/changeStreams/#modify-change-stream-output */
export const STREAM_STAGES: ReadonlySet<string> = new Set([
  '$match',
  '$project',
  '$addFields',
  '$set',
  '$unset',
  '$replaceRoot',
  '$replaceWith',
  '$redact',
]);

/**
 * Compiles the stages that follow `$changeStream`.
 *
 * @returns the event as the stages leave it, or null when one drops it
 * @throws CommandError 40324 for an unknown stage, 20 IllegalOperation for one that a change stream does not allow
 */
export function compileStreamStages(pipeline: readonly unknown[], options: FilterOptions = {}): DocumentStage {
  const scope = rootScope(options);
  return chain(
    pipeline.map((stage) => {
      const [name, spec] = stageOf(stage);
      const compiled = STREAM_STAGES.has(name) ? compileDocumentStage(name, spec, scope, options) : undefined;
      if (compiled !== undefined) return compiled;
      if (Object.hasOwn(STAGES, name) || name === '$out' || name === '$merge') {
        throw new CommandError(CODES.IllegalOperation, `${name} is not permitted in a $changeStream pipeline`);
      }
      throw location(40324, `Unrecognized pipeline stage name: '${name}'`);
    }),
  );
}
