import type { Document } from 'bson';
import { location } from '../errors.ts';
import { isDocument, setField } from '../values/types.ts';
import type { Environment, Expression } from './expression.ts';

/** What happens to one field: kept, dropped, computed anew, or its present value turned into another. */
export type FieldRule =
  | { readonly kind: 'keep' }
  | { readonly kind: 'drop' }
  | { readonly kind: 'compute'; readonly expression: Expression }
  | { readonly kind: 'transform'; readonly transform: (value: unknown) => unknown };

/** Rules by field name; `computes` tells whether any rule below creates fields. */
export interface RuleTree {
  readonly rules: Map<string, FieldRule | RuleTree>;
  computes: boolean;
}

export const newTree = (): RuleTree => ({ rules: new Map(), computes: false });

const isTree = (rule: FieldRule | RuleTree): rule is RuleTree => 'rules' in rule;

/**
 * Puts a rule at a dotted path.
 *
 * @throws CommandError 31249 or 31250 when the path meets another one, 40352 and 15998 for bad paths
 */
export function addRule(tree: RuleTree, path: string, rule: FieldRule): void {
  if (path === '') throw location(40352, 'FieldPath cannot be constructed with empty string');
  const components = path.split('.');
  let node = tree;
  for (const [at, component] of components.entries()) {
    if (component === '') throw location(15998, 'FieldPath field names may not be empty strings.');
    if (component.startsWith('$')) throw location(16410, "FieldPath field names may not start with '$'.");
    if (rule.kind === 'compute') node.computes = true;
    const existing = node.rules.get(component);
    if (at === components.length - 1) {
      if (existing !== undefined) throw location(31250, `Path collision at ${path}`);
      node.rules.set(component, rule);
    } else if (existing === undefined) {
      const next = newTree();
      node.rules.set(component, next);
      node = next;
    } else if (isTree(existing)) {
      node = existing;
    } else {
      throw location(31249, `Path collision at ${path} remaining portion ${components.slice(at + 1).join('.')}`);
    }
  }
}

/**
 * Applies a tree to a document. `others` says what becomes of fields without a rule: dropped by an inclusion, kept by
 * an exclusion and by `$addFields`. New fields come last, in the order of the specification.
 */
export function applyTree(
  tree: RuleTree,
  document: Document,
  others: 'keep' | 'drop',
  environment: Environment,
): Document {
  const result: Document = {};
  for (const key of Object.keys(document)) {
    const rule = tree.rules.get(key);
    if (rule === undefined) {
      if (others === 'keep') setField(result, key, document[key]);
      continue;
    }
    const value = existingField(rule, document[key], others, environment);
    if (value !== undefined) setField(result, key, value);
  }
  if (tree.computes) addMissing(tree, document, result, others, environment);
  return result;
}

function existingField(
  rule: FieldRule | RuleTree,
  value: unknown,
  others: 'keep' | 'drop',
  environment: Environment,
): unknown {
  if (isTree(rule)) return applyToValue(rule, value, others, environment);
  if (rule.kind === 'keep') return value;
  if (rule.kind === 'transform') return rule.transform(value);
  // An inclusion moves computed fields behind the kept ones; $addFields replaces them where they stand.
  return rule.kind === 'compute' && others === 'keep' ? rule.expression(environment) : undefined;
}

function addMissing(
  tree: RuleTree,
  document: Document,
  result: Document,
  others: 'keep' | 'drop',
  environment: Environment,
): void {
  for (const [key, rule] of tree.rules) {
    const exists = Object.hasOwn(document, key);
    if (isTree(rule)) {
      if (rule.computes && !exists) setField(result, key, applyTree(rule, {}, others, environment));
    } else if (rule.kind === 'compute' && (others === 'drop' || !exists)) {
      const value = rule.expression(environment);
      if (value !== undefined) setField(result, key, value);
    }
  }
}

function applyToValue(tree: RuleTree, value: unknown, others: 'keep' | 'drop', environment: Environment): unknown {
  if (isDocument(value)) return applyTree(tree, value, others, environment);
  if (Array.isArray(value)) {
    const items: unknown[] = [];
    for (const item of value) {
      const projected = applyToValue(tree, item, others, environment);
      if (projected !== undefined) items.push(projected);
    }
    return items;
  }
  if (tree.computes) return applyTree(tree, {}, others, environment);
  return others === 'keep' ? value : undefined;
}
