import { type Document, Timestamp } from 'bson';
import { CODES } from '../codes.ts';
import type { Engine } from '../engine.ts';
import { badValue, CommandError, failedToParse, location, typeMismatch } from '../errors.ts';
import { toNumber } from '../values/numbers.ts';
import { getField, isDocument, typeName } from '../values/types.ts';
import type { UnknownFieldCode } from './command.ts';

/** Fields that any command may carry (https://www.mongodb.com/docs/manual/reference/command/). */
const GENERIC: ReadonlySet<string> = new Set([
  '$db',
  'lsid',
  '$clusterTime',
  'txnNumber',
  'autocommit',
  'startTransaction',
  'stmtId',
  'stmtIds',
  'readConcern',
  'writeConcern',
  '$readPreference',
  'maxTimeMS',
  'comment',
  'apiVersion',
  'apiStrict',
  'apiDeprecationErrors',
  '$audit',
  '$client',
  '$configServerState',
  'databaseVersion',
  'shardVersion',
  'help',
  'maxTimeMSOpOnly',
  'operationTime',
  '$topologyTime',
]);

export function isGeneric(name: string): boolean {
  return GENERIC.has(name);
}

/**
 * Refuses a field that the command does not have.
 *
 * @throws CommandError with the code given
 */
export function checkFields(
  body: Document,
  command: string,
  code: UnknownFieldCode,
  ...known: readonly ReadonlySet<string>[]
): void {
  for (const name of Object.keys(body)) {
    if (known.some((names) => names.has(name)) || GENERIC.has(name) || name === command) continue;
    if (code === 9) throw failedToParse(`Failed to parse: Unrecognized field '${name}'.`);
    throw location(code, `BSON field '${code === 51177 ? '' : `${command}.`}${name}' is an unknown field.`);
  }
}

const NONE: ReadonlySet<string> = new Set();

/** The fields that only the version which this server announces knows. */
export const modernOnly = (engine: Engine, names: ReadonlySet<string> | undefined): ReadonlySet<string> =>
  engine.modern && names !== undefined ? names : NONE;

export function wrongType(path: string, value: unknown, expected: string): CommandError {
  return typeMismatch(`BSON field '${path}' is the wrong type '${typeName(value)}', expected type '${expected}'`);
}

export function missingField(path: string): CommandError {
  return location(40414, `BSON field '${path}' is missing but a required field`);
}

export function optionalString(body: Document, name: string): string | undefined {
  const value = getField(body, name);
  if (value === undefined) return undefined;
  if (typeof value !== 'string') throw wrongType(name, value, 'string');
  return value;
}

/** Numbers of any type are taken, as the server's "safe" types do. */
export function optionalBoolean(body: Document, name: string): boolean | undefined {
  const value = getField(body, name);
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'boolean') return value;
  const number = toNumber(value);
  if (number === undefined) throw wrongType(name, value, 'bool');
  return number !== 0;
}

export function optionalInteger(body: Document, name: string): number | undefined {
  const value = getField(body, name);
  if (value === undefined || value === null) return undefined;
  const number = toNumber(value);
  if (number === undefined || Number.isNaN(number)) throw wrongType(name, value, 'long');
  return Math.trunc(number);
}

/** @throws CommandError 2 BadValue when it is negative. */
export function optionalCount(body: Document, name: string): number | undefined {
  const number = optionalInteger(body, name);
  if (number !== undefined && number < 0) {
    throw badValue(`BSON field '${name}' value must be >= 0, actual value '${number}'`);
  }
  return number;
}

export function optionalDocument(body: Document, name: string): Document | undefined {
  const value = getField(body, name);
  if (value === undefined || value === null) return undefined;
  if (!isDocument(value)) throw wrongType(name, value, 'object');
  return value;
}

export function optionalTimestamp(body: Document, name: string): Timestamp | undefined {
  const value = getField(body, name);
  if (value === undefined) return undefined;
  if (!(value instanceof Timestamp)) throw wrongType(name, value, 'timestamp');
  return value;
}

export function documentList(value: unknown, path: string): Document[] {
  if (!Array.isArray(value)) throw wrongType(path, value, 'array');
  return value.map((item: unknown, index) => {
    if (!isDocument(item)) throw wrongType(`${path}.${index}`, item, 'object');
    return item;
  });
}

/** The collection that a command's own field names. @throws CommandError 73 InvalidNamespace */
export function collectionName(body: Document, command: string): string {
  const value = getField(body, command);
  if (typeof value !== 'string') {
    throw new CommandError(CODES.InvalidNamespace, `collection name has invalid type ${typeName(value)}`);
  }
  return value;
}
