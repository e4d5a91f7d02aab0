import { type Document, Int32 } from 'bson';
import { CommandError } from '../errors.ts';
import { toInteger } from '../values/numbers.ts';
import { isDocument, typeName } from '../values/types.ts';
import { chain, compileDocumentStage, type DocumentStage, stageOf } from './document-stages.ts';
import type { Scope } from './expression.ts';
import { rootScope } from './expression-scope.ts';
import type { FilterOptions } from './filter.ts';
import { badValue, location } from './refuse.ts';
import { sortDocuments, sortKeys } from './sort.ts';
import { compileBucket, compileBucketAuto, compileGroup, compileSortByCount, type Stage } from './stages-group.ts';
import { compileGraphLookup, compileLookup, compileUnionWith, compileUnwind, type JoinContext } from './stages-join.ts';
import { compileWindowStage } from './stages-window.ts';

/** What a pipeline needs of the server that runs it. */
export interface PipelineContext {
  /** The documents of another collection of the same database; none when it does not exist. */
  readonly lookup: (collection: string) => Iterable<Document>;
  /** Carries out `$out` or `$merge`, whose operand is checked by the server; without it they are refused. */
  readonly write?: ((stage: '$out' | '$merge', operand: unknown, documents: Document[]) => void) | undefined;
  /** Collation, `$$NOW` and the command's `let`. */
  readonly options?: FilterOptions | undefined;
}

type StageCompiler = (spec: unknown, scope: Scope, context: JoinContext, name: string) => Stage;

function compileSortStage(spec: unknown, context: JoinContext): Stage {
  if (!isDocument(spec)) throw location(15973, 'the $sort key specification must be an object');
  if (Object.keys(spec).length === 0) throw location(15976, '$sort stage must have at least one sort key');
  sortKeys(spec);
  return (documents) => sortDocuments([...documents], spec, context.options.strings);
}

function compileLimit(spec: unknown): Stage {
  const limit = toInteger(spec);
  if (limit === undefined) throw location(15957, 'the limit must be specified as a number');
  if (limit <= 0) throw location(15958, 'the limit must be positive');
  return function* take(documents) {
    let left = limit;
    for (const document of documents) {
      yield document;
      left -= 1;
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
      if (left > 0) left -= 1;
      else yield document;
    }
  };
}

function compileCount(spec: unknown): Stage {
  if (typeof spec !== 'string') throw location(40156, 'the count field must be a non-empty string');
  if (spec === '') throw location(40156, 'the count field must be a non-empty string');
  if (spec.startsWith('$')) throw location(40158, 'the count field cannot be a $-prefixed path');
  if (spec.includes('.')) throw location(40160, "the count field cannot contain '.'");
  return (documents) => {
    let count = 0;
    for (const _ of documents) count += 1;
    return count === 0 ? [] : [{ [spec]: new Int32(count) }];
  };
}

function compileSample(spec: unknown): Stage {
  const size = isDocument(spec) ? toInteger(spec['size']) : undefined;
  if (!isDocument(spec)) throw location(28745, 'the $sample stage specification must be an object');
  if (size === undefined) throw location(28746, 'size argument to $sample must be a number');
  if (size < 0) throw location(28747, 'size argument to $sample must not be negative');
  return (documents) => {
    const pool = [...documents];
    for (let index = 0; index < Math.min(size, pool.length); index++) {
      const other = index + Math.floor(Math.random() * (pool.length - index));
      const [a, b] = [pool[index], pool[other]];
      if (a !== undefined && b !== undefined) [pool[index], pool[other]] = [b, a];
    }
    return pool.slice(0, size);
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
  return (documents) => {
    const input = [...documents];
    return [Object.fromEntries(facets.map(([name, stage]) => [name, [...stage(input)]]))];
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
  $setWindowFields: compileWindowStage,
  $densify: compileWindowStage,
  $fill: compileWindowStage,
};

function compileStage(stage: unknown, scope: Scope, context: JoinContext): Stage {
  const [name, spec] = stageOf(stage);
  const single = compileDocumentStage(name, spec, scope, context.options);
  if (single !== undefined) return eachDocument(single);
  if (name === '$out' || name === '$merge')
    throw location(40601, `${name} can only be the final stage in the pipeline`);
  const compiler = Object.hasOwn(STAGES, name) ? STAGES[name] : undefined;
  if (compiler === undefined) throw location(40324, `Unrecognized pipeline stage name: '${name}'`);
  return compiler(spec, scope, context, name);
}

function eachDocument(stage: DocumentStage): Stage {
  return function* each(documents) {
    for (const document of documents) {
      const result = stage(document);
      if (result !== null) yield result;
    }
  };
}

/** A compiled pipeline, to be run over a collection's documents. */
export type Pipeline = (documents: Iterable<Document>) => Document[];

/**
 * Compiles an aggregation pipeline.
 *
 * @throws CommandError 40324 for an unknown stage, 40601 for `$out` or `$merge` before the end, and what the stages throw
 */
export function compilePipeline(pipeline: readonly unknown[], context: PipelineContext): Pipeline {
  const last = pipeline.at(-1);
  const [lastName, lastSpec] = last === undefined ? ['', undefined] : stageOf(last);
  const writes = lastName === '$out' || lastName === '$merge' ? lastName : undefined;
  const { write } = context;
  if (writes !== undefined && write === undefined) throw badValue(`${writes} is not available here`);
  const join: JoinContext = {
    lookup: context.lookup,
    options: context.options ?? {},
    compile: (stages, scope) => {
      const compiled = stages.map((stage) => compileStage(stage, scope, join));
      return (documents) => compiled.reduce((flow, stage) => stage(flow), documents);
    },
  };
  const run = join.compile(writes === undefined ? pipeline : pipeline.slice(0, -1), rootScope(context.options));
  return (documents) => {
    const results = [...run(documents)];
    if (writes === undefined) return results;
    write?.(writes, lastSpec, results);
    return [];
  };
}

/**
 * Runs an aggregation pipeline over documents.
 *
 * @throws CommandError as compilePipeline, and what expressions throw while they are evaluated
 */
export function runPipeline(
  documents: Iterable<Document>,
  pipeline: readonly unknown[],
  context: PipelineContext,
): Document[] {
  return compilePipeline(pipeline, context)(documents);
}

const STREAM_STAGES: ReadonlySet<string> = new Set([
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
        throw new CommandError(20, 'IllegalOperation', `${name} is not permitted in a $changeStream pipeline`);
      }
      throw location(40324, `Unrecognized pipeline stage name: '${name}'`);
    }),
  );
}
