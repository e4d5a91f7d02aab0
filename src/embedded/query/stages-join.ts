import type { Document } from 'bson';
import { valueKey } from '../values/compare.ts';
import { integerOf, toInteger } from '../values/numbers.ts';
import { getField, isDocument, setField, typeName } from '../values/types.ts';
import { bindCells, compileExpression, evaluate, type Scope, valueAtPath } from './expression.ts';
import { compileFilter, type FilterOptions } from './filter.ts';
import { addRule, applyTree, newTree } from './projection-tree.ts';
import { failedToParse, location } from './refuse.ts';
import { pathValues } from './sort.ts';
import type { Stage } from './stages-group.ts';

/** What the joining stages need of the server and of the pipeline compiler. */
export interface JoinContext {
  /** The documents of another collection of the same database; none when it does not exist. */
  readonly lookup: (collection: string) => Iterable<Document>;
  /** Compiles a nested pipeline in a scope. */
  readonly compile: (pipeline: readonly unknown[], scope: Scope) => Stage;
  readonly options: FilterOptions;
}

function textOption(spec: Document, name: string, stage: string): string {
  const value: unknown = spec[name];
  if (typeof value !== 'string')
    throw failedToParse(`${stage} argument '${name}' must be a string, found ${typeName(value)}`);
  return value;
}

/** Sets a dotted path, as `$addFields` would. */
function fieldSetter(path: string): (document: Document, value: unknown) => Document {
  let current: unknown;
  const tree = newTree();
  addRule(tree, path, { kind: 'compute', expression: () => current });
  return (document, value) => {
    current = value;
    return applyTree(tree, document, 'keep', { root: document, current: document, slots: [] });
  };
}

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
  const matching = hasFields ? equalityJoin(spec, context, from) : () => [...context.lookup(from)];
  const inner = pipeline === undefined ? undefined : nestedPipeline(spec, pipeline, scope, context);
  return function* lookup(documents) {
    for (const document of documents) {
      const joined = matching(document);
      yield set(document, inner === undefined ? joined : inner(joined, document));
    }
  };
}

function equalityJoin(spec: Document, context: JoinContext, from: string): (document: Document) => Document[] {
  const local = textOption(spec, 'localField', '$lookup').split('.');
  const foreign = textOption(spec, 'foreignField', '$lookup').split('.');
  let index: Map<string, Document[]> | undefined;
  return (document) => {
    index ??= indexByPath(context.lookup(from), foreign);
    const found = new Set<Document>();
    for (const value of pathValues(document, local, 0))
      for (const match of index.get(keyOf(value)) ?? []) found.add(match);
    return [...found];
  };
}

const keyOf = (value: unknown): string => (typeof value === 'symbol' ? 'empty' : valueKey(value));

function indexByPath(documents: Iterable<Document>, path: readonly string[]): Map<string, Document[]> {
  const index = new Map<string, Document[]>();
  for (const document of documents) {
    for (const key of new Set(pathValues(document, path, 0).map(keyOf))) {
      const entry = index.get(key);
      if (entry === undefined) index.set(key, [document]);
      else entry.push(document);
    }
  }
  return index;
}

function nestedPipeline(
  spec: Document,
  pipeline: unknown,
  scope: Scope,
  context: JoinContext,
): (documents: Document[], outer: Document) => Document[] {
  if (!Array.isArray(pipeline)) throw failedToParse("'pipeline' option must be specified as an array");
  const variables: unknown = spec['let'] ?? {};
  if (!isDocument(variables)) throw failedToParse("$lookup argument 'let' must be an object");
  const values = Object.values(variables).map((value: unknown) => compileExpression(value, scope));
  const bound = bindCells(scope, Object.keys(variables));
  const run = context.compile(pipeline, bound.scope);
  return (documents, outer) => {
    for (const [index, cell] of bound.cells.entries())
      cell.value = values[index]?.({ root: outer, current: outer, slots: [] });
    return [...run(documents)];
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

  const reach = (document: Document, index: Map<string, Document[]>): Document[] => {
    const found = new Map<Document, number>();
    let frontier = flattened(evaluate(start, document));
    for (let depth = 0; depth <= maxDepth && frontier.length > 0; depth++) {
      const next: unknown[] = [];
      for (const value of frontier) {
        for (const match of index.get(keyOf(value)) ?? []) {
          if (found.has(match) || !accepts(match)) continue;
          found.set(match, depth);
          next.push(...flattened(valueAtPath(match, connectFrom, 0)));
        }
      }
      frontier = next;
    }
    return [...found].map(([match, depth]) =>
      setDepth === undefined ? match : setDepth(match, integerOf(depth, 'long')),
    );
  };
  return function* graph(documents) {
    const index = indexByPath(context.lookup(from), connectTo);
    for (const document of documents) yield set(document, reach(document, index));
  };
}

function flattened(value: unknown): unknown[] {
  return Array.isArray(value) ? value : value === undefined ? [] : [value];
}

/** `$unwind`: one document per element. */
export function compileUnwind(spec: unknown): Stage {
  const path: unknown = isDocument(spec) ? spec['path'] : spec;
  if (typeof path !== 'string')
    throw location(28808, `expected a string as the path for $unwind stage, got ${typeName(path)}`);
  if (!path.startsWith('$'))
    throw location(28818, `path option to $unwind stage should be prefixed with a '$': ${path}`);
  const indexField: unknown = isDocument(spec) ? spec['includeArrayIndex'] : undefined;
  if (indexField !== undefined && (typeof indexField !== 'string' || indexField === '')) {
    throw location(28810, 'expected a non-empty string for the includeArrayIndex option to $unwind stage');
  }
  const keepsEmpty = isDocument(spec) && spec['preserveNullAndEmptyArrays'] === true;
  const components = path.slice(1).split('.');
  const setIndex = typeof indexField === 'string' ? fieldSetter(indexField) : undefined;
  const numbered = (document: Document, index: number | null): Document =>
    setIndex === undefined ? document : setIndex(document, index === null ? null : integerOf(index, 'long'));
  return function* unwind(documents) {
    for (const document of documents) {
      const value = plainPath(document, components);
      if (Array.isArray(value) && value.length > 0) {
        for (const [index, element] of value.entries())
          yield numbered(replaceAt(document, components, 0, element), index);
      } else if (Array.isArray(value)) {
        if (keepsEmpty) yield numbered(replaceAt(document, components, 0, undefined), null);
      } else if (keepsEmpty || (value !== undefined && value !== null)) {
        yield numbered(document, null);
      }
    }
  };
}

/** A path through documents only: `$unwind` does not look into arrays on the way. */
function plainPath(document: Document, components: readonly string[]): unknown {
  let value: unknown = document;
  for (const component of components) value = isDocument(value) ? getField(value, component) : undefined;
  return value;
}

/** A copy of the documents along the path with the value at its end replaced; undefined removes it. */
function replaceAt(document: Document, components: readonly string[], at: number, value: unknown): Document {
  const component = components[at] ?? '';
  const copy: Document = {};
  for (const key of Object.keys(document)) {
    const old: unknown = document[key];
    const next =
      key !== component
        ? old
        : at === components.length - 1
          ? value
          : isDocument(old)
            ? replaceAt(old, components, at + 1, value)
            : old;
    if (next !== undefined) setField(copy, key, next);
  }
  return copy;
}
