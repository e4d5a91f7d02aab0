import type { Document } from 'bson';
import { badValue, location } from '../errors.ts';
import { numericKind, toInteger, toNumber } from '../values/numbers.ts';
import { getField, isDocument, typeName } from '../values/types.ts';
import { compileExpression, type ExpressionOptions, type Scope } from './expression.ts';
import { rootScope } from './expression-scope.ts';
import { compileFilter } from './filter.ts';
import type { DocumentTest, MatchDetails } from './path.ts';
import { addRule, applyTree, type FieldRule, newTree, type RuleTree } from './projection-tree.ts';

export interface ProjectionOptions extends ExpressionOptions {
  /** The compiled query, which says the index of the positional projection `"a.$"`. */
  readonly filter?: DocumentTest | undefined;
}

export type Projection = (document: Document) => Document;

interface Positional {
  readonly path: string;
}

interface Parsed {
  readonly leaves: [string, FieldRule][];
  readonly positional: Positional[];
}

const KEEP: FieldRule = { kind: 'keep' };
const DROP: FieldRule = { kind: 'drop' };

/**
 * Compiles the `projection` of find and findAndModify: inclusion or exclusion, expressions, `$slice`, `$elemMatch`
 * and the positional `"a.$"`, as MongoDB 4.4 has them.
 *
 * @throws CommandError 31249, 31250 path collision; 31253, 31254 mixed inclusion and exclusion; 31276, 31395
 * positional; 51246 when the query matched no array element
 */
export function compileProjection(spec: Document, options: ProjectionOptions = {}): Projection {
  if (Object.keys(spec).length === 0) return (document) => document;
  return compileSpec(spec, rootScope(options), true, options.filter);
}

/**
 * Compiles the operand of `$project`.
 *
 * @throws CommandError as compileProjection, and 51272 when it is empty
 */
export function compileProjectStage(spec: unknown, scope: Scope): Projection {
  if (!isDocument(spec)) throw location(15969, '$project specification must be an object');
  if (Object.keys(spec).length === 0)
    throw location(51272, 'Invalid $project :: caused by :: projection specification must have at least one field');
  return compileSpec(spec, scope, false, undefined);
}

/**
 * Compiles the operand of `$addFields` and `$set`.
 *
 * @throws CommandError 40272 when it is no object
 */
export function compileAddFields(spec: unknown, scope: Scope, name: string): Projection {
  if (!isDocument(spec)) throw location(40272, `${name} specification stage must be an object, got ${typeName(spec)}`);
  const tree = newTree();
  const add = (path: string, value: unknown): void => {
    if (isDocument(value) && !isExpressionDocument(value) && Object.keys(value).length > 0) {
      for (const [key, item] of Object.entries(value) as [string, unknown][]) add(`${path}.${key}`, item);
      return;
    }
    addRule(tree, path, { kind: 'compute', expression: compileExpression(value, scope) });
  };
  for (const [path, value] of Object.entries(spec) as [string, unknown][]) add(path, value);
  return applied(tree, 'keep');
}

/**
 * Compiles the operand of `$unset`: a path or several.
 *
 * @throws CommandError 31002, 31119, 31120
 */
export function compileUnset(spec: unknown): Projection {
  const paths: readonly unknown[] = Array.isArray(spec) ? spec : [spec];
  if (paths.length === 0)
    throw location(31119, '$unset specification must be a string or an array with at least one field');
  const tree = newTree();
  for (const path of paths) {
    if (typeof path !== 'string')
      throw location(31120, '$unset specification must be a string or an array containing only string values');
    addRule(tree, path, DROP);
  }
  return applied(tree, 'keep');
}

function applied(tree: RuleTree, others: 'keep' | 'drop'): Projection {
  return (document) => applyTree(tree, document, others, { root: document, current: document, slots: [] });
}

function isExpressionDocument(value: Document): boolean {
  return Object.keys(value)[0]?.startsWith('$') === true;
}

function compileSpec(spec: Document, scope: Scope, isFind: boolean, filter: DocumentTest | undefined): Projection {
  const parsed: Parsed = { leaves: [], positional: [] };
  for (const [path, value] of Object.entries(spec) as [string, unknown][])
    parseField(path, value, scope, isFind, parsed);
  const isInclusion = decideMode(parsed);
  const tree = newTree();
  for (const [path, rule] of parsed.leaves)
    if (path !== '_id' || rule.kind !== (isInclusion ? 'drop' : 'keep')) addRule(tree, path, rule);
  if (isInclusion && !tree.rules.has('_id') && spec['_id'] === undefined) tree.rules.set('_id', KEEP);
  const project = applied(tree, isInclusion ? 'drop' : 'keep');
  const [positional, more] = parsed.positional;
  if (positional === undefined) return project;
  if (more !== undefined) throw location(31276, 'Cannot specify more than one positional projection per query.');
  if (!isInclusion) throw location(31395, 'positional projection cannot be used with exclusion');
  return (document) => project(atMatch(document, positional.path, filter));
}

function parseField(path: string, value: unknown, scope: Scope, isFind: boolean, parsed: Parsed): void {
  if (isFind && path.endsWith('.$')) {
    const base = path.slice(0, -2);
    parsed.positional.push({ path: base });
    parsed.leaves.push([base, KEEP]);
  } else if (typeof value === 'boolean' || numericKind(value) !== undefined) {
    parsed.leaves.push([path, value !== false && toNumber(value) !== 0 ? KEEP : DROP]);
  } else if (!isDocument(value)) {
    parsed.leaves.push([path, { kind: 'compute', expression: compileExpression(value, scope) }]);
  } else if (Object.keys(value).length === 0) {
    throw location(51270, 'An empty sub-projection is not a valid value. Found empty object at path');
  } else if (isExpressionDocument(value)) {
    parsed.leaves.push([path, operatorRule(path, value, scope, isFind)]);
  } else {
    for (const [key, item] of Object.entries(value) as [string, unknown][]) {
      parseField(`${path}.${key}`, item, scope, isFind, parsed);
    }
  }
}

function operatorRule(path: string, value: Document, scope: Scope, isFind: boolean): FieldRule {
  if (isFind && Object.hasOwn(value, '$elemMatch')) return elementRule(path, value['$elemMatch']);
  if (isFind && Object.hasOwn(value, '$slice')) {
    const rule = sliceRule(value['$slice']);
    if (rule !== undefined) return rule;
  }
  if (isFind && Object.hasOwn(value, '$meta'))
    throw badValue('This server has no text scores and no other metadata ($meta)');
  return { kind: 'compute', expression: compileExpression(value, scope) };
}

/** `{$elemMatch: condition}`: the first element that meets it. */
function elementRule(path: string, condition: unknown): FieldRule {
  if (path.includes('.')) throw location(31275, 'Cannot use $elemMatch projection on a nested field.');
  if (!isDocument(condition))
    throw location(31274, `elemMatch: Invalid argument, object required, but got ${typeName(condition)}`);
  const matches = compileFilter({ element: { $elemMatch: condition } });
  const expression = ({ root }: { readonly root: unknown }): unknown => {
    const element = isDocument(root) ? getField(root, path) : undefined;
    const details: MatchDetails = { index: undefined };
    if (!Array.isArray(element) || !matches({ element }, details) || details.index === undefined) return undefined;
    return [element[details.index]];
  };
  return { kind: 'compute', expression };
}

/** Undefined for the forms that only the aggregation expression `$slice` has. */
function sliceRule(operand: unknown): FieldRule | undefined {
  if (!Array.isArray(operand)) {
    const count = toInteger(operand);
    if (count === undefined)
      throw location(
        28667,
        `Invalid $slice syntax. The given syntax { $slice: ${String(operand)} } did not match the find() syntax`,
      );
    return transformArray((items) => (count >= 0 ? items.slice(0, count) : items.slice(count)));
  }
  const [skip, limit] = operand.map((item: unknown) => toInteger(item));
  if (operand.length !== 2 || skip === undefined || limit === undefined) return undefined;
  if (limit <= 0) throw location(28724, 'First argument to $slice must be an array, but is of type: int');
  return transformArray((items) => {
    const start = skip < 0 ? Math.max(0, items.length + skip) : skip;
    return items.slice(start, start + limit);
  });
}

function transformArray(change: (items: unknown[]) => unknown[]): FieldRule {
  return { kind: 'transform', transform: (value) => (Array.isArray(value) ? change(value) : value) };
}

/** Whether the specification includes (true) or excludes; `_id` decides only when it stands alone. */
function decideMode({ leaves, positional }: Parsed): boolean {
  const isDeciding = ([path, rule]: [string, FieldRule]): boolean =>
    rule.kind === 'compute' || (path !== '_id' && rule.kind !== 'transform');
  const first = leaves.find(isDeciding) ?? leaves.find(([, rule]) => rule.kind !== 'transform');
  if (first === undefined) return positional.length > 0;
  const isInclusion = first[1].kind !== 'drop';
  for (const [path, rule] of leaves) {
    if (path === '_id' && rule.kind !== 'compute') continue;
    if (isInclusion && rule.kind === 'drop')
      throw location(31254, `Cannot do exclusion on field ${path} in inclusion projection`);
    if (!isInclusion && rule.kind === 'keep')
      throw location(31253, `Cannot do inclusion on field ${path} in exclusion projection`);
    if (!isInclusion && rule.kind === 'compute')
      throw location(31252, `Cannot use expression for field ${path} in exclusion projection`);
  }
  return isInclusion;
}

/** The document with the array at `path` cut down to the element that the query matched. */
function atMatch(document: Document, path: string, filter: DocumentTest | undefined): Document {
  const details: MatchDetails = { index: undefined };
  filter?.(document, details);
  const cut = (value: unknown, components: readonly string[]): unknown => {
    const [component, ...rest] = components;
    if (Array.isArray(value)) {
      if (details.index === undefined || details.index >= value.length) {
        throw location(
          51246,
          "Executor error during find command :: caused by :: positional operator '.$' couldn't find a matching element in the array",
        );
      }
      return component === undefined ? [value[details.index]] : [cut(value[details.index], components)];
    }
    if (component === undefined || !isDocument(value) || !Object.hasOwn(value, component)) return value;
    return { ...value, [component]: cut(value[component], rest) };
  };
  const changed = cut(document, path.split('.'));
  return isDocument(changed) ? changed : document;
}
