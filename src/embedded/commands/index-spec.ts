import { type Document, Int32 } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, failedToParse } from '../errors.ts';
import { compileFilter } from '../query/filter.ts';
import type { IndexSpec } from '../storage/collection-index.ts';
import { shellText } from '../storage/shell-text.ts';
import { toNumber } from '../values/numbers.ts';
import { fields } from './command.ts';
import { optionalBoolean, optionalDocument, optionalInteger } from './fields.ts';

const SPEC_FIELDS = fields(
  'v',
  'key',
  'name',
  'unique',
  'sparse',
  'background',
  'expireAfterSeconds',
  'partialFilterExpression',
  'hidden',
  'collation',
  'ns',
  'storageEngine',
  'weights',
  'default_language',
  'language_override',
  'textIndexVersion',
  '2dsphereIndexVersion',
  'bits',
  'min',
  'max',
  'bucketSize',
  'wildcardProjection',
  'dropDups',
);

function cannotCreate(message: string): CommandError {
  return new CommandError(CODES.CannotCreateIndex, message);
}

function checkKey(key: Document): void {
  const entries = Object.entries(key);
  if (entries.length === 0) throw cannotCreate('Index keys cannot be an empty object');
  for (const [path, direction] of entries) {
    if (typeof direction === 'string') {
      throw cannotCreate(`This server has no '${direction}' indexes, only ascending and descending ones`);
    }
    const number = toNumber(direction);
    if (number === undefined || number === 0 || Number.isNaN(number)) {
      throw cannotCreate(
        `Values in v:2 index key pattern cannot be of type ${typeof direction} or 0. Only numbers > 0, numbers < 0, and strings are allowed.`,
      );
    }
    if (path === '' || path.split('.').some((part) => part === '' || part === '$**' || part.startsWith('$'))) {
      throw cannotCreate(`Index key contains an illegal field name: '${path}'`);
    }
  }
}

function defaultName(key: Document): string {
  return Object.entries(key)
    .map(([path, direction]) => `${path}_${String(direction)}`)
    .join('_');
}

/** An index as createIndexes and listIndexes spell it. @throws CommandError 67, 72, 197, 14 */
export function parseIndexSpec(given: Document): IndexSpec {
  for (const name of Object.keys(given)) {
    if (!SPEC_FIELDS.has(name)) {
      throw new CommandError(
        CODES.InvalidIndexSpecificationOption,
        `The field '${name}' is not valid for an index specification. Specification: ${shellText(given)}`,
      );
    }
  }
  const key = optionalDocument(given, 'key');
  if (key === undefined) throw failedToParse("The 'key' field is a required property of an index specification");
  checkKey(key);
  const name: unknown = given['name'] ?? defaultName(key);
  if (typeof name !== 'string' || name === '' || name === '*') throw cannotCreate('The index name is not valid');
  const locale: unknown = optionalDocument(given, 'collation')?.['locale'];
  if (locale !== undefined && locale !== 'simple')
    throw cannotCreate('This server orders its indexes by binary comparison: no collation but "simple"');
  const unique = optionalBoolean(given, 'unique') ?? false;
  const sparse = optionalBoolean(given, 'sparse') ?? false;
  const partial = optionalDocument(given, 'partialFilterExpression');
  if (partial !== undefined && sparse) throw cannotCreate('cannot mix "partialFilterExpression" and "sparse" options');
  if (partial !== undefined) compileFilter(partial);
  const expireAfterSeconds = optionalInteger(given, 'expireAfterSeconds');
  if (expireAfterSeconds !== undefined && (expireAfterSeconds < 0 || expireAfterSeconds > 2 ** 31 - 1)) {
    throw cannotCreate("TTL index 'expireAfterSeconds' option must be within an acceptable range");
  }
  if (expireAfterSeconds !== undefined && Object.keys(key).length > 1)
    throw cannotCreate('TTL indexes are single-field indexes, compound indexes do not support TTL.');
  const options: Document = {
    ...(unique ? { unique } : {}),
    ...(sparse ? { sparse } : {}),
    ...(partial === undefined ? {} : { partialFilterExpression: partial }),
    ...(expireAfterSeconds === undefined ? {} : { expireAfterSeconds: new Int32(expireAfterSeconds) }),
    ...(given['hidden'] === true ? { hidden: true } : {}),
  };
  return { name, key, unique, sparse, ...(expireAfterSeconds === undefined ? {} : { expireAfterSeconds }), options };
}
