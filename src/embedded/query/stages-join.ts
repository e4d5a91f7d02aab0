import type { Document } from 'bson';
import { type CommandError, failedToParse, location } from '../errors.ts';
import { collatedKeys } from '../values/collation.ts';
import { createHeld, MAX_TEXT } from '../values/effort.ts';
import { integerOf, toInteger } from '../values/numbers.ts';
import { isDocument, typeName } from '../values/types.ts';
import { bindCells, compileExpression, evaluate, type Scope, valueAtPath } from './expression.ts';
import { fieldSetter } from './field-setter.ts';
import { compileFilter, type FilterOptions } from './filter.ts';
import { type Flow, gather, PAUSE, type Pause, type Pulse, type Stage } from './flow.ts';
import { pathValues } from './sort.ts';

/** What the joining stages need of the server and of the pipeline compiler. */
export interface JoinContext {
  /** The documents of another collection of the same database; none when it does not exist. */
  readonly lookup: (collection: string) => Flow;
  /** Compiles a nested pipeline in a scope. */
  readonly compile: (pipeline: readonly unknown[], scope: Scope) => Stage;
  readonly options: FilterOptions;
  readonly pulse: Pulse;
}

function textOption(spec: Document, name: string, stage: string): string {
  const value: unknown = spec[name];
  if (typeof value !== 'string')
    throw failedToParse(`${stage} argument '${name}' must be a string, found ${typeName(value)}`);
  return value;
}

const tooLarge = (from: string): CommandError =>
  location(4568, `Total size of documents in ${from} matching pipeline's $lookup stage exceeds ${MAX_TEXT} bytes`);

/** `$lookup`, by equality of fields, by a pipeline, or both. */
export function compileLookup(spec: unknown, scope: Scope, context: JoinContext): Stage {
  if (!isDocument(spec)) throw failedToParse(`the $lookup specification must be an Object, but is ${typeName(spec)}`);
  for (const key of Object.keys(spec)) {
    if (!['from', 'as', 'localField', 'foreignField', 'let', 'pipeline'].includes(key)) {
      throw failedToParse(`unknown argument to $lookup: ${key}`);
    }
  }
  const from = textOption(spec, 'from', '$lookup');
  const set = fieldSetter(textOption(spec, 'as', '$lookup'));
  const hasFields = spec['localField'] !== undefined || spec['foreignField'] !== undefined;
  const pipeline: unknown = spec['pipeline'];
  if (!hasFields && pipeline === undefined)
    throw failedToParse("$lookup requires either 'pipeline' or both 'localField' and 'foreignField' to be specified");
  const load = hasFields ? equalityJoin(spec, context, from) : everything(context, from);
  const inner = pipeline === undefined ? undefined : nestedPipeline(spec, pipeline, scope, context);
  return function* lookup(documents) {
    const matching = yield* load();
    for (const document of documents) {
      if (document === PAUSE) {
        yield PAUSE;
        continue;
      }
      const matches = matching(document);
      const joined = inner === undefined ? matches : yield* inner(matches, document);
      // Documents share what they join, but each counts as if it held it: none may become larger than one can be.
      const hold = createHeld(() => tooLarge(from));
      for (const one of joined) hold(one);
      yield set(document, joined);
      if (context.pulse.isDue()) yield PAUSE;
    }
  };
}

/** Reads the other collection, then finds in it what belongs to a document. */
type Load = () => Generator<Pause, (document: Document) => Document[]>;

function everything(context: JoinContext, from: string): Load {
  return function* load() {
    const all = yield* gather(context.lookup(from));
    return () => all;
  };
}

function equalityJoin(spec: Document, context: JoinContext, from: string): Load {
  const local = textOption(spec, 'localField', '$lookup').split('.');
  const foreign = textOption(spec, 'foreignField', '$lookup').split('.');
  return function* load() {
    const keyOf = joinKeys(context);
    const index = yield* indexByPath(context.lookup(from), foreign, keyOf, context.pulse);
    return (document) => {
      const found = new Set<Document>();
      for (const value of pathValues(document, local, 0))
        for (const match of index.get(keyOf(value)) ?? []) found.add(match);
      return [...found];
    };
  };
}

type KeyOf = (value: unknown) => string;

/** Keys under the collation, for both sides of one join. */
function joinKeys({ options }: JoinContext): KeyOf {
  const keyOf = collatedKeys(options.strings);
  return (value) => (typeof value === 'symbol' ? 'empty' : keyOf(value));
}

function* indexByPath(
  documents: Flow,
  path: readonly string[],
  keyOf: KeyOf,
  pulse: Pulse,
): Generator<Pause, Map<string, Document[]>> {
  const index = new Map<string, Document[]>();
  for (const document of documents) {
    if (document !== PAUSE) {
      for (const key of new Set(pathValues(document, path, 0).map(keyOf))) {
        const entry = index.get(key);
        if (entry === undefined) index.set(key, [document]);
        else entry.push(document);
      }
    }
    if (document === PAUSE || pulse.isDue()) yield PAUSE;
  }
  return index;
}

function nestedPipeline(
  spec: Document,
  pipeline: unknown,
  scope: Scope,
  context: JoinContext,
): (documents: Document[], outer: Document) => Generator<Pause, Document[]> {
  if (!Array.isArray(pipeline)) throw failedToParse("'pipeline' option must be specified as an array");
  const variables: unknown = spec['let'] ?? {};
  if (!isDocument(variables)) throw failedToParse("$lookup argument 'let' must be an object");
  const values = Object.values(variables).map((value: unknown) => compileExpression(value, scope));
  const bound = bindCells(scope, Object.keys(variables));
  const run = context.compile(pipeline, bound.scope);
  return function* nested(documents, outer) {
    for (const [index, cell] of bound.cells.entries())
      cell.value = values[index]?.({ root: outer, current: outer, slots: [] });
    return yield* gather(run(documents));
  };
}

/** `$unionWith`: another collection's documents, after these. */
export function compileUnionWith(spec: unknown, scope: Scope, context: JoinContext): Stage {
  const from = isDocument(spec) ? textOption(spec, 'coll', '$unionWith') : spec;
  if (typeof from !== 'string') throw failedToParse('the $unionWith stage specification must be an object or string');
  const pipeline: unknown = isDocument(spec) ? (spec['pipeline'] ?? []) : [];
  if (!Array.isArray(pipeline)) throw failedToParse("'pipeline' option must be specified as an array");
  const run = context.compile(pipeline, scope);
  return function* union(documents) {
    yield* documents;
    yield* run(context.lookup(from));
  };
}

/** `$graphLookup`: everything reachable from a document through a collection. */
export function compileGraphLookup(spec: unknown, scope: Scope, context: JoinContext): Stage {
  if (!isDocument(spec)) throw location(40327, 'the $graphLookup specification must be an Object');
  const from = textOption(spec, 'from', '$graphLookup');
  const set = fieldSetter(textOption(spec, 'as', '$graphLookup'));
  const connectFrom = textOption(spec, 'connectFromField', '$graphLookup').split('.');
  const connectTo = textOption(spec, 'connectToField', '$graphLookup').split('.');
  if (!Object.hasOwn(spec, 'startWith'))
    throw location(
      40105,
      "$graphLookup requires 'from', 'as', 'startWith', 'connectFromField', and 'connectToField' to be specified.",
    );
  const start = compileExpression(spec['startWith'], scope);
  const maxDepth = spec['maxDepth'] === undefined ? Number.POSITIVE_INFINITY : toInteger(spec['maxDepth']);
  if (maxDepth === undefined || maxDepth < 0) throw location(40101, 'maxDepth requires a nonnegative argument');
  const depthField: unknown = spec['depthField'];
  const setDepth = typeof depthField === 'string' ? fieldSetter(depthField) : undefined;
  const restriction: unknown = spec['restrictSearchWithMatch'];
  if (restriction !== undefined && !isDocument(restriction))
    throw location(40185, 'restrictSearchWithMatch must be an object');
  const accepts = restriction === undefined ? () => true : compileFilter(restriction, context.options);

  const reach = function* reachable(
    document: Document,
    index: Map<string, Document[]>,
    keyOf: KeyOf,
  ): Generator<Pause, Document[]> {
    const found = new Map<Document, number>();
    let frontier = flattened(evaluate(start, document));
    for (let depth = 0; depth <= maxDepth && frontier.length > 0; depth++) {
      const next: unknown[] = [];
      for (const value of frontier) {
        if (context.pulse.isDue()) yield PAUSE;
        for (const match of index.get(keyOf(value)) ?? []) {
          if (context.pulse.isDue()) yield PAUSE;
          if (found.has(match) || !accepts(match)) continue;
          found.set(match, depth);
          // One by one: as arguments, more than some 100,000 values overflow the stack.
          for (const item of flattened(valueAtPath(match, connectFrom, 0))) next.push(item);
        }
      }
      frontier = next;
    }
    return [...found].map(([match, depth]) =>
      setDepth === undefined ? match : setDepth(match, integerOf(depth, 'long')),
    );
  };
  return function* graph(documents) {
    const keyOf = joinKeys(context);
    const index = yield* indexByPath(context.lookup(from), connectTo, keyOf, context.pulse);
    for (const document of documents)
      yield document === PAUSE ? PAUSE : set(document, yield* reach(document, index, keyOf));
  };
}

function flattened(value: unknown): unknown[] {
  return Array.isArray(value) ? value : value === undefined ? [] : [value];
}
