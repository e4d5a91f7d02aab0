import { type Document, Int32 } from 'bson';
import { CommandError } from '../errors.ts';
import { compileFilter } from '../query/filter.ts';
import { createDirectUnit } from '../sessions/unit.ts';
import type { Collection } from '../storage/collection.ts';
import { type IndexSpec, indexDocument } from '../storage/collindex.ts';
import { shellText } from '../storage/shelltext.ts';
import { encode } from '../values/bson.ts';
import { toNumber } from '../values/numbers.ts';
import { isDocument } from '../values/types.ts';
import { documentSource, FIRST_BATCH, openCursor } from './batch.ts';
import { untilFree } from './catalogwait.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import {
  collectionName,
  documentList,
  missingField,
  optionalBoolean,
  optionalCount,
  optionalDocument,
  optionalInteger,
  wrongType,
} from './fields.ts';
import { rejectView } from './targets.ts';

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
  return new CommandError(67, 'CannotCreateIndex', message);
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

/** @throws CommandError 67, 72, 197, 14 */
function parseSpec(given: Document): IndexSpec {
  for (const name of Object.keys(given)) {
    if (!SPEC_FIELDS.has(name)) {
      throw new CommandError(
        197,
        'InvalidIndexSpecificationOption',
        `The field '${name}' is not valid for an index specification. Specification: ${shellText(given)}`,
      );
    }
  }
  const key = optionalDocument(given, 'key');
  if (key === undefined)
    throw new CommandError(9, 'FailedToParse', "The 'key' field is a required property of an index specification");
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

/** Whether the index is there already. @throws CommandError 85, 86 when another one stands in its way */
function exists(collection: Collection, wanted: IndexSpec): boolean {
  if (shellText(wanted.key) === '{ _id: 1 }') return true;
  for (const { spec } of collection.indexes.values()) {
    const sameKey = shellText(spec.key) === shellText(wanted.key);
    const sameOptions = shellText(spec.options) === shellText(wanted.options);
    if (spec.name === wanted.name) {
      if (sameKey && sameOptions) return true;
      if (sameKey)
        throw new CommandError(
          85,
          'IndexOptionsConflict',
          `Index with name: ${wanted.name} already exists with different options`,
        );
      throw new CommandError(
        86,
        'IndexKeySpecsConflict',
        `An existing index has the same name as the requested index. Requested index: ${wanted.name}`,
      );
    }
    if (
      sameKey &&
      shellText(spec.options['partialFilterExpression']) === shellText(wanted.options['partialFilterExpression'])
    ) {
      throw new CommandError(85, 'IndexOptionsConflict', `Index already exists with a different name: ${spec.name}`);
    }
  }
  return false;
}

export const createIndexes: Command = {
  name: 'createIndexes',
  fields: fields('indexes', 'commitQuorum', 'ignoreUnknownIndexOptions'),
  unknownField: 9,
  writes: true,
  writeConcern: true,
  async run(context) {
    const { engine, body, db } = context;
    const name = collectionName(body, 'createIndexes');
    if (body['indexes'] === undefined) throw missingField('createIndexes.indexes');
    const specs = documentList(body['indexes'], 'createIndexes.indexes').map(parseSpec);
    if (specs.length === 0) throw new CommandError(2, 'BadValue', 'Must specify at least one index to create');
    const known = engine.catalog.find(db, name);
    rejectView(known);
    const collection = createDirectUnit(engine, false).ensureCollection(db, name);
    await untilFree(context, collection);
    const before = collection.indexes.size;
    const fresh = specs.filter((spec) => !exists(collection, spec));
    for (const spec of fresh) engine.addIndex(collection, spec);
    const numbers = { numIndexesBefore: new Int32(before), numIndexesAfter: new Int32(collection.indexes.size) };
    if (fresh.length === 0) return { ...numbers, note: 'all indexes already exist' };
    return { createdCollectionAutomatically: known === undefined, ...numbers, commitQuorum: 'votingMembers' };
  },
};

function existing(context: CommandContext, name: string): Collection {
  const collection = context.engine.catalog.find(context.db, name);
  if (collection === undefined)
    throw new CommandError(26, 'NamespaceNotFound', `ns does not exist: ${context.db}.${name}`);
  rejectView(collection);
  return collection;
}

export const listIndexes: Command = {
  name: 'listIndexes',
  fields: fields('cursor', 'includeBuildUUIDs'),
  unknownField: 40415,
  async run(context) {
    const name = collectionName(context.body, 'listIndexes');
    const documents = [...existing(context, name).indexes.values()].map(({ spec }) => encode(indexDocument(spec)));
    const batchSize = optionalCount(optionalDocument(context.body, 'cursor') ?? {}, 'batchSize') ?? FIRST_BATCH;
    let at = 0;
    const source = documentSource(async (limit) => {
      const batch = documents.slice(at, at + limit);
      at += batch.length;
      return batch;
    }, Number.POSITIVE_INFINITY);
    return openCursor(context, source, {
      namespace: `${context.db}.${name}`,
      batchSize,
      singleBatch: false,
      noTimeout: false,
    });
  },
};

function named(collection: Collection, index: unknown): string {
  if (typeof index === 'string') {
    if (!collection.indexes.has(index))
      throw new CommandError(27, 'IndexNotFound', `index not found with name [${index}]`);
    return index;
  }
  if (!isDocument(index)) throw wrongType('dropIndexes.index', index, 'string');
  for (const { spec } of collection.indexes.values()) if (shellText(spec.key) === shellText(index)) return spec.name;
  throw new CommandError(27, 'IndexNotFound', `can't find index with key: ${shellText(index)}`);
}

function dropCommand(name: string): Command {
  return {
    name,
    fields: fields('index'),
    unknownField: 40415,
    writes: true,
    writeConcern: true,
    async run(context) {
      const { engine, body } = context;
      const collection = existing(context, collectionName(body, name));
      await untilFree(context, collection);
      const index: unknown = body['index'];
      if (index === undefined) throw missingField('dropIndexes.index');
      const before = collection.indexes.size;
      const all = [...collection.indexes.keys()].filter((one) => one !== '_id_');
      const wanted =
        index === '*' ? all : (Array.isArray(index) ? index : [index]).map((one: unknown) => named(collection, one));
      if (wanted.includes('_id_')) throw new CommandError(72, 'InvalidOptions', 'cannot drop _id index');
      for (const one of wanted) engine.removeIndex(collection, one);
      return {
        nIndexesWas: new Int32(before),
        ...(index === '*' ? { msg: 'non-_id indexes dropped for collection' } : {}),
      };
    },
  };
}

export const dropIndexes = dropCommand('dropIndexes');
export const deleteIndexes = dropCommand('deleteIndexes');
