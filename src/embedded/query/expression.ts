import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, failedToParse, location } from '../errors.ts';
import { spend } from '../values/effort.ts';
import { numericKind, toNumber } from '../values/numbers.ts';
import { BsonUndefined } from '../values/rare.ts';
import { getField, isDocument, setField } from '../values/types.ts';

export interface ExpressionOptions {
  /** The value of `$$NOW`; by default the time of compilation, as for one command. */
  readonly now?: Date | undefined;
  /** The command's `let`: name to constant value. */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** The scope of an enclosing pipeline, in place of a new one. */
  readonly scope?: Scope | undefined;
}

/** What an expression is evaluated against. */
export interface Environment {
  readonly root: unknown;
  /** `$$CURRENT`: what field paths start from. */
  readonly current: unknown;
  /** Values of bound variables, by the number that the scope gave them. */
  readonly slots: unknown[];
}

/** A compiled expression; undefined is MongoDB's "missing". */
export type Expression = (environment: Environment) => unknown;

/** A variable's value, set anew by `$lookup` for each outer document. */
export interface Cell {
  value: unknown;
}

/** The variables that an expression may name, and where their values are found. */
export interface Scope {
  readonly slots: ReadonlyMap<string, number>;
  /** Variables that hold one value while a whole pipeline runs. */
  readonly cells: ReadonlyMap<string, Cell>;
  readonly allocate: () => number;
  /** Every operator that an expression may use, by name. */
  readonly operators: Readonly<Record<string, OperatorCompiler>>;
}

/** Compiles one operator; `name` is the operator's own, for error texts and for families that share a compiler. */
export type OperatorCompiler = (operand: unknown, scope: Scope, name: string) => Expression;

const VARIABLE_NAME = /^(?:[a-z\u0080-\uffff][\w\u0080-\uffff]*|CURRENT)$/;

/** The three answers of `$redact`. */
export const DESCEND: unique symbol = Symbol('$$DESCEND');
export const PRUNE: unique symbol = Symbol('$$PRUNE');
export const KEEP: unique symbol = Symbol('$$KEEP');

/**
 * A scope in which `names` are bound as well.
 *
 * @returns the scope and each name's slot
 * @throws CommandError 9 FailedToParse for a name that no variable may have
 */
export function bind(scope: Scope, names: readonly string[]): { scope: Scope; slots: number[] } {
  const bound = new Map(scope.slots);
  const slots = names.map((name) => {
    checkVariableName(name);
    const slot = scope.allocate();
    bound.set(name, slot);
    return slot;
  });
  return { scope: { ...scope, slots: bound }, slots };
}

function checkVariableName(name: string): void {
  if (VARIABLE_NAME.test(name)) return;
  throw failedToParse(`'${name}' starts with an invalid character for a user variable name`);
}

/**
 * A scope in which `names` are variables for a whole nested pipeline.
 *
 * @returns the scope and each name's cell
 * @throws CommandError 9 FailedToParse for a name that no variable may have
 */
export function bindCells(scope: Scope, names: readonly string[]): { scope: Scope; cells: Cell[] } {
  const bound = new Map(scope.cells);
  const cells = names.map((name) => {
    checkVariableName(name);
    const cell: Cell = { value: undefined };
    bound.set(name, cell);
    return cell;
  });
  return { scope: { ...scope, cells: bound }, cells };
}

/** Evaluates with a document as `$$ROOT` and `$$CURRENT`. */
export function evaluate(expression: Expression, document: unknown): unknown {
  return expression({ root: document, current: document, slots: [] });
}

/**
 * Compiles an aggregation expression.
 *
 * @throws CommandError 168 InvalidPipelineOperator for an unknown operator, and the codes of its operands' errors
 */
export function compileExpression(spec: unknown, scope: Scope): Expression {
  if (typeof spec === 'string' && spec.startsWith('$')) return compilePath(spec, scope);
  if (Array.isArray(spec)) {
    const items = spec.map((item: unknown) => compileExpression(item, scope));
    return (environment) => items.map((item) => item(environment) ?? null);
  }
  return isDocument(spec) ? compileObject(spec, scope) : () => spec;
}

function compileObject(spec: Document, scope: Scope): Expression {
  const entries: [string, unknown][] = Object.entries(spec);
  const [first] = entries;
  if (first?.[0].startsWith('$') === true) {
    if (entries.length > 1) throw location(15983, 'an object representing an expression must have exactly one field');
    return compileOperator(first[0], first[1], scope);
  }
  const fields = entries.map(([name, value]): [string, Expression] => {
    checkFieldName(name);
    return [name, compileExpression(value, scope)];
  });
  return (environment) => {
    const result: Document = {};
    for (const [name, field] of fields) {
      const value = field(environment);
      if (value !== undefined) setField(result, name, value);
    }
    spend();
    return result;
  };
}

function checkFieldName(name: string): void {
  if (name === '') throw location(40352, 'FieldPath cannot be constructed with empty string');
  if (name.startsWith('$')) throw location(16410, "FieldPath field names may not start with '$'.");
  if (name.includes('.')) throw location(16405, `FieldPath field names may not contain '.': ${name}`);
}

function compileOperator(name: string, operand: unknown, scope: Scope): Expression {
  const operator = Object.hasOwn(scope.operators, name) ? scope.operators[name] : undefined;
  if (operator === undefined)
    throw new CommandError(CODES.InvalidPipelineOperator, `Unrecognized expression '${name}'`);
  return operator(operand, scope, name);
}

function compilePath(path: string, scope: Scope): Expression {
  if (!path.startsWith('$$')) {
    const components = checkedComponents(path.slice(1));
    const [only] = components;
    const current = scope.slots.get('CURRENT');
    if (current !== undefined) return (environment) => valueAtPath(environment.slots[current], components, 0);
    if (components.length === 1 && only !== undefined) {
      return ({ current: value }) => (isDocument(value) ? getField(value, only) : valueAtPath(value, components, 0));
    }
    return (environment) => valueAtPath(environment.current, components, 0);
  }
  const [name = '', ...components] = path.slice(2).split('.');
  const base = compileVariable(name, scope);
  if (components.length === 0) return base;
  checkedComponents(components.join('.'));
  return (environment) => valueAtPath(base(environment), components, 0);
}

function compileVariable(name: string, scope: Scope): Expression {
  const slot = scope.slots.get(name);
  if (slot !== undefined) return (environment) => environment.slots[slot];
  if (name === 'ROOT') return (environment) => environment.root;
  if (name === 'CURRENT') return (environment) => environment.current;
  if (name === '') throw failedToParse('empty variable names are not allowed');
  const cell = scope.cells.get(name);
  if (cell === undefined) throw location(17276, `Use of undefined variable: ${name}`);
  return () => cell.value;
}

function checkedComponents(path: string): string[] {
  if (path === '') throw location(16872, "'$' by itself is not a valid FieldPath");
  const components = path.split('.');
  for (const component of components) {
    if (component === '') throw location(15998, 'FieldPath field names may not be empty strings.');
    if (component.startsWith('$')) throw location(16410, "FieldPath field names may not start with '$'.");
  }
  return components;
}

/** A dotted path as expressions read it: arrays answer with what their embedded documents have there. */
export function valueAtPath(value: unknown, components: readonly string[], at: number): unknown {
  const component = components[at];
  if (component === undefined) return value;
  if (Array.isArray(value)) {
    spend(value.length);
    return value
      .map((item: unknown) => (isDocument(item) || Array.isArray(item) ? valueAtPath(item, components, at) : undefined))
      .filter((item) => item !== undefined);
  }
  return isDocument(value) ? valueAtPath(getField(value, component), components, at + 1) : undefined;
}

/** The truth of an expression's value: everything but missing, null, false and zero. */
export function isTrue(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value instanceof BsonUndefined) return false;
  return numericKind(value) === undefined || toNumber(value) !== 0;
}
