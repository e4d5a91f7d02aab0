import { location } from '../errors.ts';
import { BsonUndefined } from '../values/rare.ts';
import { isDocument, typeName } from '../values/types.ts';
import {
  compileExpression,
  type Environment,
  type Expression,
  type OperatorCompiler,
  type Scope,
} from './expression.ts';

/** Whether a value is null, missing or of the deprecated type undefined, to which most operators answer null. */
export function isNullish(value: unknown): value is null | undefined | BsonUndefined {
  return value === null || value === undefined || value instanceof BsonUndefined;
}

/**
 * The operand as a list of arguments: an array is the list, anything else its only member.
 *
 * @throws CommandError 16020 (exact count) or 28667 (range)
 */
export function compileArguments(
  operand: unknown,
  scope: Scope,
  name: string,
  least: number,
  most: number = least,
): Expression[] {
  const list: readonly unknown[] = Array.isArray(operand) ? operand : [operand];
  if (list.length < least || list.length > most) {
    if (least === most) {
      throw location(16020, `Expression ${name} takes exactly ${least} arguments. ${list.length} were passed in.`);
    }
    throw location(
      28667,
      `Expression ${name} takes at least ${least} arguments, and at most ${most}, but ${list.length} were passed in.`,
    );
  }
  return list.map((item) => compileExpression(item, scope));
}

/** An operator of exactly one argument. */
export function unary(apply: (value: unknown, name: string) => unknown): OperatorCompiler {
  return (operand, scope, name) => {
    const [argument = missing] = compileArguments(operand, scope, name, 1);
    return (environment) => apply(argument(environment), name);
  };
}

/** An operator of exactly two arguments. */
export function binary(apply: (a: unknown, b: unknown, name: string) => unknown): OperatorCompiler {
  return (operand, scope, name) => {
    const [a = missing, b = missing] = compileArguments(operand, scope, name, 2);
    return (environment) => apply(a(environment), b(environment), name);
  };
}

/** An operator of a varying number of arguments, all evaluated first. */
export function variadic(
  apply: (values: unknown[], name: string) => unknown,
  least = 0,
  most = Number.POSITIVE_INFINITY,
): OperatorCompiler {
  return (operand, scope, name) => {
    const items = compileArguments(operand, scope, name, least, most);
    return (environment) =>
      apply(
        items.map((item) => item(environment)),
        name,
      );
  };
}

/** The named arguments of an operator that takes an object. */
export type NamedArguments = Readonly<Record<string, Expression | undefined>>;

/**
 * Compiles the members of an object operand.
 *
 * @throws CommandError with `code` when it is no object, lacks a required member or has an unknown one
 */
export function compileNamed(
  operand: unknown,
  scope: Scope,
  name: string,
  code: number,
  required: readonly string[],
  optional: readonly string[] = [],
): NamedArguments {
  if (!isDocument(operand))
    throw location(code, `${name} only supports an object as its argument, not ${typeName(operand)}`);
  for (const key of Object.keys(operand)) {
    if (!required.includes(key) && !optional.includes(key))
      throw location(code, `Unrecognized parameter to ${name}: ${key}`);
  }
  for (const key of required) {
    if (!Object.hasOwn(operand, key)) throw location(code, `Missing '${key}' parameter to ${name}`);
  }
  return Object.fromEntries(
    Object.entries(operand).map(([key, value]: [string, unknown]) => [key, compileExpression(value, scope)]),
  );
}

/** An operator with named arguments, all evaluated first; an absent one is undefined. */
export function named(
  code: number,
  required: readonly string[],
  optional: readonly string[],
  apply: (values: Readonly<Record<string, unknown>>, name: string) => unknown,
): OperatorCompiler {
  return (operand, scope, name) => {
    const members = Object.entries(compileNamed(operand, scope, name, code, required, optional));
    return (environment) => apply(evaluateAll(members, environment), name);
  };
}

function evaluateAll(
  members: readonly [string, Expression | undefined][],
  environment: Environment,
): Record<string, unknown> {
  return Object.fromEntries(members.map(([key, expression]) => [key, expression?.(environment)]));
}

/** The expression that is always missing. */
export const missing: Expression = () => undefined;
