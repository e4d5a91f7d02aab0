import { Int32, Long, type Timestamp } from 'bson';
import { badValue, typeMismatch } from '../errors.ts';
import { compareValues, valuesIdentical } from '../values/compare.ts';
import { add, multiply, numericKind, numericValue } from '../values/numbers.ts';
import { copyValue, isDocument, typeName } from '../values/types.ts';

/** Says that the field is to be removed. */
export const REMOVED: unique symbol = Symbol('removed');

/** The outcome of a modifier on one field; undefined leaves it as it is. */
export type ModifierOutcome =
  | undefined
  | {
      readonly value: unknown;
      /** Set when the new value is the old array with elements added at its end: the old length. */
      readonly appendedFrom?: number;
    };

/** Where a modifier works, for the wording of its errors. */
export interface Target {
  readonly path: string;
  readonly documentId: unknown;
}

export interface FieldModifier {
  /** Whether an absent field is created; if not, absent paths are left alone. */
  readonly creates: boolean;
  /** `value` is undefined when the field is absent. */
  readonly apply: (value: unknown, target: Target) => ModifierOutcome;
}

/** What a modifier may ask of its surroundings. */
export interface UpdateClock {
  readonly now: () => Date;
  readonly timestamp: () => Timestamp;
}

export type ModifierCompiler = (operand: unknown, path: string, clock: UpdateClock) => FieldModifier;

const replacing = (decide: (value: unknown, target: Target) => unknown): FieldModifier => ({
  creates: true,
  apply: (value, target) => {
    const next = decide(value, target);
    return next === undefined || valuesIdentical(value, next) ? undefined : { value: copyValue(next) };
  },
});

/** A short text of a value for error messages. */
export function inWords(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return `[ ${value.map(inWords).join(', ')} ]`;
  if (isDocument(value)) {
    const fields = Object.entries(value).map(([key, item]: [string, unknown]) => `${key}: ${inWords(item)}`);
    return `{ ${fields.join(', ')} }`;
  }
  return String(value);
}

function numericField(operator: string, value: unknown, { path, documentId }: Target): void {
  if (value !== undefined && numericKind(value) === undefined) {
    const name = path.split('.').at(-1) ?? path;
    throw typeMismatch(
      `Cannot apply ${operator} to a value of non-numeric type. {_id: ${inWords(documentId)}} has the field '${name}' of non-numeric type ${typeName(value)}`,
    );
  }
}

function arithmeticModifier(
  operator: '$inc' | '$mul',
  operation: (a: unknown, b: unknown) => unknown,
  absent: Int32,
): ModifierCompiler {
  return (operand, path) => {
    if (numericKind(operand) === undefined) {
      const verb = operator === '$inc' ? 'increment' : 'multiply';
      throw typeMismatch(`Cannot ${verb} with non-numeric argument: {${path}: ${inWords(operand)}}`);
    }
    return replacing((value, target) => {
      numericField(operator, value, target);
      const result = operation(value ?? absent, operand);
      if (result !== undefined) return result;
      throw badValue(
        `Failed to apply ${operator} operations to current value (${inWords(value)}) for document {_id: ${inWords(target.documentId)}}`,
      );
    });
  };
}

function extreme(accepts: (difference: number) => boolean): ModifierCompiler {
  return (operand) =>
    replacing((value) => (value === undefined || accepts(compareValues(operand, value)) ? operand : undefined));
}

const currentDate: ModifierCompiler = (operand, _path, clock) => {
  const type: unknown = isDocument(operand) ? operand['$type'] : undefined;
  if (typeof operand === 'boolean' || type === 'date') return replacing(() => clock.now());
  if (type === 'timestamp') return replacing(() => clock.timestamp());
  throw badValue(
    isDocument(operand)
      ? "The '$type' string field is required to be 'date' or 'timestamp': {$currentDate: {field : {$type: 'date'}}}"
      : `${typeName(operand)} is not valid type for $currentDate. Please use a boolean ('true') or a $type expression ({$type: 'timestamp/date'}).`,
  );
};

const BIT_OPERATIONS: Readonly<Record<string, (a: bigint, b: bigint) => bigint>> = {
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
};

const isInteger = (value: unknown): boolean => numericKind(value) === 'int' || numericKind(value) === 'long';

const bitwise: ModifierCompiler = (operand, path) => {
  if (!isDocument(operand)) {
    throw badValue(
      `The $bit modifier is not compatible with a ${typeName(operand)}. You must pass in an embedded document: {$bit: {field: {and/or/xor: #}}`,
    );
  }
  const steps = Object.entries(operand).map(([name, number]: [string, unknown]) => {
    const operation = Object.hasOwn(BIT_OPERATIONS, name) ? BIT_OPERATIONS[name] : undefined;
    if (operation === undefined)
      throw badValue(`The $bit modifier only supports 'and', 'or', and 'xor', not '${name}'`);
    if (!isInteger(number))
      throw badValue(
        `The $bit modifier field must be an Integer(32/64 bit); a '${typeName(number)}' is not supported here: ${path}`,
      );
    return { operation, number };
  });
  if (steps.length === 0)
    throw badValue(`You must pass in at least one bitwise operation. The format is: {$bit: {field: {and/or/xor: #}}`);
  return replacing((value, target) => {
    if (value !== undefined && !isInteger(value)) {
      throw badValue(
        `Cannot apply $bit to a value of non-integral type.{_id: ${inWords(target.documentId)}} has the field ${path} of non-integer type ${typeName(value)}`,
      );
    }
    let result = bigintOf(value);
    let long = numericKind(value) === 'long';
    for (const { operation, number } of steps) {
      result = operation(result, bigintOf(number));
      long ||= numericKind(number) === 'long';
    }
    return long ? Long.fromBigInt(result) : new Int32(Number(result));
  });
};

function bigintOf(value: unknown): bigint {
  const number = numericValue(value);
  return typeof number === 'number' || typeof number === 'bigint' ? BigInt(number) : 0n;
}

/** The modifiers of single values; those of arrays stand apart. */
export const VALUE_MODIFIERS: Readonly<Record<string, ModifierCompiler>> = {
  $set: (operand) => replacing(() => operand),
  $setOnInsert: (operand) => replacing(() => operand),
  $unset: () => ({ creates: false, apply: (value) => (value === undefined ? undefined : { value: REMOVED }) }),
  $inc: arithmeticModifier('$inc', add, new Int32(0)),
  $mul: arithmeticModifier('$mul', multiply, new Int32(0)),
  $min: extreme((difference) => difference < 0),
  $max: extreme((difference) => difference > 0),
  $currentDate: currentDate,
  $bit: bitwise,
};
