import {
  Binary,
  BSONRegExp,
  BSONSymbol,
  Code,
  Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
} from 'bson';
import { BsonUndefined, DbPointer, dateMillis } from '../values/rare.ts';
import { readable } from '../values/text.ts';

const MAX_TEXT = 2048;

/** A value as the shell would print it, for error messages; long ones are cut. */
export function shellText(value: unknown): string {
  const text = textOf(value);
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}...` : text;
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'string') return JSON.stringify(readable(value));
  if (value instanceof Int32 || value instanceof Double) {
    return value instanceof Double && Number.isInteger(value.value) ? value.value.toFixed(1) : String(value.value);
  }
  if (value instanceof Long) return value.toString();
  if (value instanceof ObjectId) return `ObjectId('${value.toHexString()}')`;
  if (value instanceof Date) return `new Date(${dateMillis(value)})`;
  if (value instanceof BsonUndefined) return 'undefined';
  if (value instanceof DbPointer) return `DBRef('${readable(value.collection)}', ${value.id.toHexString()})`;
  if (value instanceof BSONSymbol) return JSON.stringify(readable(value.value));
  if (value instanceof Code) return readable(value.code);
  if (value instanceof MinKey) return 'MinKey';
  if (value instanceof MaxKey) return 'MaxKey';
  if (value instanceof Timestamp) return `Timestamp(${value.t}, ${value.i})`;
  if (value instanceof Decimal128) return `NumberDecimal("${value.toString()}")`;
  if (value instanceof Binary) return `BinData(${value.sub_type}, ${value.toString('hex').toUpperCase()})`;
  if (value instanceof BSONRegExp) return `/${readable(value.pattern)}/${value.options}`;
  if (Array.isArray(value))
    return value.length === 0 ? '[]' : `[ ${value.map((item: unknown) => textOf(item)).join(', ')} ]`;
  if (typeof value === 'object') {
    const fields = Object.entries(value).map(([name, item]) => `${readable(name)}: ${textOf(item)}`);
    return fields.length === 0 ? '{}' : `{ ${fields.join(', ')} }`;
  }
  return String(value);
}
