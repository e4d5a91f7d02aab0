import { Int32 } from 'bson';
import { location } from '../errors.ts';
import { compareValues } from '../values/compare.ts';
import { isDocument } from '../values/types.ts';
import { bind, compileExpression, type Expression, isTrue, type OperatorCompiler, type Scope } from './expression.ts';
import { binary, compileArguments, compileNamed, isNullish, missing, unary } from './expression-arguments.ts';

function comparison(accepts: (difference: number) => boolean): OperatorCompiler {
  return binary((a, b) => accepts(compareMissingFirst(a, b)));
}

/** As compareValues, but missing stands below null, as comparison expressions have it. */
function compareMissingFirst(a: unknown, b: unknown): number {
  if (a === undefined || b === undefined) {
    if (a === b) return 0;
    const other = a === undefined ? b : a;
    const belowOther = compareValues(null, other) <= 0 ? -1 : 1;
    return a === undefined ? belowOther : -belowOther;
  }
  return compareValues(a, b);
}

const conditional: OperatorCompiler = (operand, scope, name) => {
  const parts = isDocument(operand) ? namedCondition(operand, scope, name) : compileArguments(operand, scope, name, 3);
  const [condition = missing, yes = missing, no = missing] = parts;
  return (environment) => (isTrue(condition(environment)) ? yes(environment) : no(environment));
};

function namedCondition(operand: unknown, scope: Scope, name: string): Expression[] {
  const parts = compileNamed(operand, scope, name, 17083, ['if', 'then', 'else']);
  return [parts['if'] ?? missing, parts['then'] ?? missing, parts['else'] ?? missing];
}

const branching: OperatorCompiler = (operand, scope, name) => {
  if (!isDocument(operand)) throw location(40060, '$switch requires an object as an argument');
  for (const key of Object.keys(operand)) {
    if (key !== 'branches' && key !== 'default') throw location(40067, `$switch found an unknown argument: ${key}`);
  }
  const list: unknown = operand['branches'];
  if (list !== undefined && !Array.isArray(list)) throw location(40061, "$switch expected an array for 'branches'");
  const branches = (list ?? []).map((branch: unknown) => {
    const parts = compileNamed(branch, scope, name, 40063, ['case', 'then']);
    return { condition: parts['case'] ?? missing, answer: parts['then'] ?? missing };
  });
  if (branches.length === 0) throw location(40068, '$switch requires at least one branch.');
  const otherwise = Object.hasOwn(operand, 'default') ? compileExpression(operand['default'], scope) : undefined;
  return (environment) => {
    for (const { condition, answer } of branches) if (isTrue(condition(environment))) return answer(environment);
    if (otherwise === undefined) {
      throw location(40066, '$switch could not find a matching branch for an input, and no default was specified.');
    }
    return otherwise(environment);
  };
};

const letVariables: OperatorCompiler = (operand, scope, name) => {
  if (!isDocument(operand)) throw location(16874, '$let only supports an object as its argument');
  for (const key of Object.keys(operand)) {
    if (key !== 'vars' && key !== 'in') throw location(16875, `Unrecognized parameter to $let: ${key}`);
  }
  const variables: unknown = operand['vars'];
  if (!isDocument(variables)) throw location(16876, `Missing 'vars' parameter to ${name}`);
  if (!Object.hasOwn(operand, 'in')) throw location(16877, "Missing 'in' parameter to $let");
  const values = Object.values(variables).map((value: unknown) => compileExpression(value, scope));
  const inner = bind(scope, Object.keys(variables));
  const body = compileExpression(operand['in'], inner.scope);
  return (environment) => {
    const bound = values.map((value) => value(environment));
    for (const [index, slot] of inner.slots.entries()) environment.slots[slot] = bound[index];
    return body(environment);
  };
};

/** Comparison, logic, branches and variables. */
export const CONTROL_OPERATORS: Readonly<Record<string, OperatorCompiler>> = {
  $eq: comparison((difference) => difference === 0),
  $ne: comparison((difference) => difference !== 0),
  $gt: comparison((difference) => difference > 0),
  $gte: comparison((difference) => difference >= 0),
  $lt: comparison((difference) => difference < 0),
  $lte: comparison((difference) => difference <= 0),
  $cmp: binary((a, b) => new Int32(Math.sign(compareMissingFirst(a, b)))),
  $and: (operand, scope, name) => {
    const items = compileArguments(operand, scope, name, 0, Number.POSITIVE_INFINITY);
    return (environment) => items.every((item) => isTrue(item(environment)));
  },
  $or: (operand, scope, name) => {
    const items = compileArguments(operand, scope, name, 0, Number.POSITIVE_INFINITY);
    return (environment) => items.some((item) => isTrue(item(environment)));
  },
  $not: unary((value) => !isTrue(value)),
  $cond: conditional,
  $switch: branching,
  $ifNull: (operand, scope, name) => {
    const items = compileArguments(operand, scope, name, 2, Number.POSITIVE_INFINITY);
    return (environment) => {
      let value: unknown;
      for (const item of items) {
        value = item(environment);
        if (!isNullish(value)) return value;
      }
      return value;
    };
  },
  $let: letVariables,
  $literal: (operand) => () => operand,
};
