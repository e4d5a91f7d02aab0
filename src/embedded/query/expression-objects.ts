import { Binary, type Document, Int32 } from 'bson';
import { location } from '../errors.ts';
import { encode } from '../values/bson.ts';
import { bytesOf } from '../values/compare.ts';
import { spend } from '../values/effort.ts';
import { numericKind } from '../values/numbers.ts';
import { utf8Length } from '../values/text.ts';
import { getField, isDocument, setField, typeName } from '../values/types.ts';
import { compileExpression, type OperatorCompiler } from './expression.ts';
import { isNullish, missing, unary } from './expression-arguments.ts';

function objectToArray(value: unknown): unknown {
  if (isNullish(value)) return null;
  if (!isDocument(value)) throw location(40390, `$objectToArray requires a document input, found: ${typeName(value)}`);
  return Object.entries(value).map(([k, v]: [string, unknown]): Document => ({ k, v }));
}

function arrayToObject(value: unknown): unknown {
  if (isNullish(value)) return null;
  if (!Array.isArray(value)) throw location(40386, `$arrayToObject requires an array input, found: ${typeName(value)}`);
  const document: Document = {};
  for (const item of value as readonly unknown[]) {
    const [key, content] = pairOf(item);
    if (typeof key !== 'string')
      throw location(
        40394,
        `$arrayToObject requires an array of objects with keys 'k' and 'v' of type string, found: ${typeName(key)}`,
      );
    setField(document, key, content);
  }
  return document;
}

function pairOf(item: unknown): readonly unknown[] {
  if (Array.isArray(item)) {
    if (item.length === 2) return item;
    throw location(40397, `$arrayToObject requires an array of size 2 arrays, found array of size: ${item.length}`);
  }
  if (!isDocument(item)) throw location(40398, `Unrecognised input type format for $arrayToObject: ${typeName(item)}`);
  if (Object.keys(item).length !== 2 || !Object.hasOwn(item, 'k') || !Object.hasOwn(item, 'v')) {
    throw location(40392, "$arrayToObject requires an object keys of 'k' and 'v'");
  }
  return [item['k'], item['v']];
}

/** `$getField`: a field by its literal name, also one with dots or dollars. */
const getFieldOperator: OperatorCompiler = (operand, scope, name) => {
  const isNamed = isDocument(operand) && Object.hasOwn(operand, 'field');
  const field = compileExpression(isNamed ? operand['field'] : operand, scope);
  const input =
    isNamed && Object.hasOwn(operand, 'input')
      ? compileExpression(operand['input'], scope)
      : compileExpression('$$CURRENT', scope);
  return (environment) => {
    const key = field(environment);
    if (typeof key !== 'string')
      throw location(5654602, `${name} requires 'field' to evaluate to type String, but got ${typeName(key)}`);
    const value = input(environment);
    if (isDocument(value)) return getField(value, key);
    return value === null ? null : undefined;
  };
};

function settingField(removes: boolean): OperatorCompiler {
  return (operand, scope, name) => {
    if (!isDocument(operand)) throw location(4161100, `${name} only supports an object as its argument`);
    const field = compileExpression(operand['field'], scope);
    const input = compileExpression(operand['input'], scope);
    const value = removes ? missing : compileExpression(operand['value'], scope);
    return (environment) => {
      const document = input(environment);
      if (isNullish(document)) return null;
      if (!isDocument(document)) throw location(4161105, `${name} requires 'input' to evaluate to type Object`);
      const key = field(environment);
      if (typeof key !== 'string') throw location(4161107, `${name} requires 'field' to evaluate to type String`);
      const content = value(environment);
      const copy: Document = {};
      const fields: [string, unknown][] = Object.entries(document);
      spend(fields.length);
      for (const [name, item] of fields) if (name !== key || content !== undefined) setField(copy, name, item);
      if (content !== undefined) setField(copy, key, content);
      return copy;
    };
  };
}

/** Documents and types. */
export const OBJECT_OPERATORS: Readonly<Record<string, OperatorCompiler>> = {
  $objectToArray: unary(objectToArray),
  $arrayToObject: unary(arrayToObject),
  $getField: getFieldOperator,
  $setField: settingField(false),
  $unsetField: settingField(true),
  $type: unary((value) => typeName(value)),
  $isNumber: unary((value) => numericKind(value) !== undefined),
  $bsonSize: unary((value) => {
    if (isNullish(value)) return null;
    if (!isDocument(value)) throw location(31393, `$bsonSize requires a document input, found: ${typeName(value)}`);
    return new Int32(encode(value).length);
  }),
  $binarySize: unary((value) => {
    if (isNullish(value)) return null;
    if (typeof value === 'string') return new Int32(utf8Length(value));
    if (!(value instanceof Binary))
      throw location(51276, `$binarySize requires a string or BinData argument, found: ${typeName(value)}`);
    return new Int32(bytesOf(value).bytes.length);
  }),
};
