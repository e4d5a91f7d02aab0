import type { Document } from 'bson';
import { failedToParse, typeMismatch } from '../errors.ts';
import { compareStrings, compareValues, valueKey, valuesEqual } from '../values/compare.ts';
import { numericKind, toInteger, toNumber } from '../values/numbers.ts';
import { getField, isDocument, TYPE_NUMBERS, typeName } from '../values/types.ts';
import { compilePattern, type Pattern } from './regex.ts';

type Check = (value: unknown) => boolean;
type Keyword = (operand: unknown, schema: Document) => Check;

const JSON_TYPES: Readonly<Record<string, readonly string[]>> = {
  object: ['object'],
  array: ['array'],
  number: ['int', 'long', 'double', 'decimal'],
  boolean: ['bool'],
  string: ['string'],
  null: ['null'],
};

/** Keywords that only describe. */
const ANNOTATIONS: ReadonlySet<string> = new Set([
  'title',
  'description',
  'exclusiveMaximum',
  'exclusiveMinimum',
  'additionalItems',
]);

/**
 * Compiles a `$jsonSchema` (JSON Schema draft 4 with MongoDB's `bsonType`) to a test of documents.
 *
 * @throws CommandError 9 FailedToParse, 14 TypeMismatch
 */
export function compileJsonSchema(schema: unknown): (document: Document) => boolean {
  if (!isDocument(schema)) throw typeMismatch('$jsonSchema must be an object');
  return compileSchema(schema);
}

function compileSchema(schema: unknown): Check {
  if (!isDocument(schema)) throw typeMismatch('$jsonSchema keyword must be followed by an object');
  if (schema['type'] !== undefined && schema['bsonType'] !== undefined) {
    throw failedToParse("Cannot specify both $jsonSchema keywords 'bsonType' and 'type'");
  }
  const checks: Check[] = [];
  for (const [name, operand] of Object.entries(schema) as [string, unknown][]) {
    const keyword = Object.hasOwn(KEYWORDS, name) ? KEYWORDS[name] : undefined;
    if (keyword !== undefined) checks.push(keyword(operand, schema));
    else if (!ANNOTATIONS.has(name)) throw failedToParse(`Unknown $jsonSchema keyword: ${name}`);
  }
  return (value) => checks.every((check) => check(value));
}

const isNumber: Check = (value) => numericKind(value) !== undefined;
const isText = (value: unknown): value is string => typeof value === 'string';
const isArray = (value: unknown): value is unknown[] => Array.isArray(value);

function whenNumber(test: (value: unknown) => boolean): Check {
  return (value) => !isNumber(value) || test(value);
}

function count(name: string, operand: unknown): number {
  const number = toInteger(operand);
  if (number === undefined || number < 0)
    throw failedToParse(`$jsonSchema keyword '${name}' must be a non-negative integer`);
  return number;
}

function list(name: string, operand: unknown): unknown[] {
  if (!Array.isArray(operand)) throw typeMismatch(`$jsonSchema keyword '${name}' must be an array`);
  if (operand.length === 0) throw failedToParse(`$jsonSchema keyword '${name}' cannot be an empty array`);
  return operand;
}

function typesOf(operand: unknown, names: (name: string) => readonly string[]): Check {
  const wanted = (Array.isArray(operand) ? (operand as readonly unknown[]) : [operand]).flatMap((name) => {
    if (typeof name !== 'string')
      throw typeMismatch("$jsonSchema keyword 'type' must be a string or an array of strings");
    return names(name);
  });
  return (value) => wanted.includes(typeName(value));
}

function jsonType(name: string): readonly string[] {
  const types = Object.hasOwn(JSON_TYPES, name) ? JSON_TYPES[name] : undefined;
  if (types === undefined) throw failedToParse(`Unknown type name alias: ${name}`);
  return types;
}

function bsonType(name: string): readonly string[] {
  if (name === 'number') return ['int', 'long', 'double', 'decimal'];
  if (!Object.hasOwn(TYPE_NUMBERS, name)) throw failedToParse(`Unknown type name alias: ${name}`);
  return [name];
}

function bound(exclusiveName: string, accepts: (difference: number) => boolean): Keyword {
  return (operand, schema) => {
    if (!isNumber(operand)) throw typeMismatch('$jsonSchema bounds must be numbers');
    const exclusive = schema[exclusiveName] === true;
    return whenNumber((value) => {
      const difference = compareValues(value, operand);
      return difference === 0 ? !exclusive : accepts(difference);
    });
  };
}

function sized<T>(
  name: string,
  is: (value: unknown) => value is T,
  size: (value: T) => number,
  atLeast: boolean,
): Keyword {
  return (operand) => {
    const limit = count(name, operand);
    return (value) => !is(value) || (atLeast ? size(value) >= limit : size(value) <= limit);
  };
}

function members(operand: unknown, name: string): [string, Check][] {
  if (!isDocument(operand)) throw typeMismatch(`$jsonSchema keyword '${name}' must be an object`);
  return Object.entries(operand).map(([key, schema]: [string, unknown]) => [key, compileSchema(schema)]);
}

function additionalProperties(operand: unknown, schema: Document): Check {
  const known = new Set(isDocument(schema['properties']) ? Object.keys(schema['properties']) : []);
  const patterns = isDocument(schema['patternProperties']) ? Object.keys(schema['patternProperties']) : [];
  const expressions = patterns.map((pattern) => compilePattern(pattern));
  const check: Check = typeof operand === 'boolean' ? () => operand : compileSchema(operand);
  return (value) =>
    !isDocument(value) ||
    Object.entries(value).every(
      ([key, item]: [string, unknown]) => known.has(key) || expressions.some((e) => e.test(key)) || check(item),
    );
}

function dependencies(operand: unknown): Check {
  if (!isDocument(operand)) throw typeMismatch("$jsonSchema keyword 'dependencies' must be an object");
  const rules = Object.entries(operand).map(([key, rule]: [string, unknown]): [string, Check] => [
    key,
    Array.isArray(rule) ? required(rule) : compileSchema(rule),
  ]);
  return (value) => !isDocument(value) || rules.every(([key, check]) => !Object.hasOwn(value, key) || check(value));
}

function required(operand: unknown): Check {
  const names = list('required', operand).map(String);
  return (value) => !isDocument(value) || names.every((name) => Object.hasOwn(value, name));
}

function items(operand: unknown, schema: Document): Check {
  if (!Array.isArray(operand)) {
    const check = compileSchema(operand);
    return (value) => !Array.isArray(value) || value.every((item: unknown) => check(item));
  }
  const checks = operand.map(compileSchema);
  const rest = schema['additionalItems'];
  const other: Check =
    rest === undefined || rest === true ? () => true : rest === false ? () => false : compileSchema(rest);
  return (value) => !Array.isArray(value) || value.every((item: unknown, index) => (checks[index] ?? other)(item));
}

const KEYWORDS: Readonly<Record<string, Keyword>> = {
  type: (operand) => typesOf(operand, jsonType),
  bsonType: (operand) => typesOf(operand, bsonType),
  enum: (operand) => {
    const values = list('enum', operand);
    return (value) => values.some((item) => valuesEqual(item, value));
  },
  minimum: bound('exclusiveMinimum', (difference) => difference > 0),
  maximum: bound('exclusiveMaximum', (difference) => difference < 0),
  multipleOf: (operand) => {
    const unit = toNumber(operand);
    if (unit === undefined || unit <= 0)
      throw failedToParse("$jsonSchema keyword 'multipleOf' must have a positive value");
    return whenNumber((value) => (toNumber(value) ?? 0) % unit === 0);
  },
  minLength: sized('minLength', isText, (text) => [...text].length, true),
  maxLength: sized('maxLength', isText, (text) => [...text].length, false),
  pattern: (operand) => {
    if (typeof operand !== 'string') throw typeMismatch("$jsonSchema keyword 'pattern' must be a string");
    const expression = compilePattern(operand);
    return (value) => typeof value !== 'string' || expression.test(value);
  },
  minItems: sized('minItems', isArray, (value) => value.length, true),
  maxItems: sized('maxItems', isArray, (value) => value.length, false),
  uniqueItems: (operand) => (value) =>
    operand !== true ||
    !Array.isArray(value) ||
    new Set(value.map((item: unknown) => valueKey(item))).size === value.length,
  items,
  minProperties: sized('minProperties', isDocument, (value) => Object.keys(value).length, true),
  maxProperties: sized('maxProperties', isDocument, (value) => Object.keys(value).length, false),
  required,
  properties: (operand) => {
    const checks = members(operand, 'properties');
    return (value) =>
      !isDocument(value) || checks.every(([key, check]) => !Object.hasOwn(value, key) || check(getField(value, key)));
  },
  patternProperties: (operand) => {
    const checks = members(operand, 'patternProperties').map(([key, check]): [Pattern, Check] => [
      compilePattern(key),
      check,
    ]);
    return (value) =>
      !isDocument(value) ||
      Object.keys(value)
        .sort(compareStrings)
        .every((key) => checks.every(([expression, check]) => !expression.test(key) || check(getField(value, key))));
  },
  additionalProperties,
  dependencies,
  allOf: (operand) => combined('allOf', operand, (results) => results.every(Boolean)),
  anyOf: (operand) => combined('anyOf', operand, (results) => results.some(Boolean)),
  oneOf: (operand) => combined('oneOf', operand, (results) => results.filter(Boolean).length === 1),
  not: (operand) => {
    const check = compileSchema(operand);
    return (value) => !check(value);
  },
};

function combined(name: string, operand: unknown, decide: (results: boolean[]) => boolean): Check {
  const checks = list(name, operand).map(compileSchema);
  return (value) => decide(checks.map((check) => check(value)));
}
