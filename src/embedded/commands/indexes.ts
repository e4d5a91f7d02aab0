import { type Document, Int32 } from 'bson';
import { CODES } from '../codes.ts';
import { badValue, CommandError } from '../errors.ts';
import type { Collection } from '../storage/collection.ts';
import { type IndexSpec, indexDocument, partialFilter } from '../storage/collection-index.ts';
import { shellText } from '../storage/shell-text.ts';
import { encode } from '../values/bson.ts';
import { isDocument } from '../values/types.ts';
import { FIRST_BATCH, listSource, openCursor } from './batch.ts';
import { checkFree } from './catalog-wait.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import { collectionName, documentList, missingField, optionalCount, optionalDocument, wrongType } from './fields.ts';
import { parseIndexSpec } from './index-spec.ts';
import { rejectView } from './targets.ts';
import { unitOf, untilUnlocked } from './write-batch.ts';

/** Whether the index is there already. @throws CommandError 85, 86 when another one stands in its way */
function exists(known: readonly IndexSpec[], wanted: IndexSpec): boolean {
  if (shellText(wanted.key) === '{ _id: 1 }') return true;
  for (const spec of known) {
    const sameKey = shellText(spec.key) === shellText(wanted.key);
    const sameOptions = shellText(spec.options) === shellText(wanted.options);
    if (spec.name === wanted.name) {
      if (sameKey && sameOptions) return true;
      if (sameKey)
        throw new CommandError(
          CODES.IndexOptionsConflict,
          `Index with name: ${wanted.name} already exists with different options`,
        );
      throw new CommandError(
        CODES.IndexKeySpecsConflict,
        `An existing index has the same name as the requested index. Requested index: ${wanted.name}`,
      );
    }
    if (
      sameKey &&
      shellText(spec.options['partialFilterExpression']) === shellText(wanted.options['partialFilterExpression'])
    ) {
      throw new CommandError(CODES.IndexOptionsConflict, `Index already exists with a different name: ${spec.name}`);
    }
  }
  return false;
}

/** Those of the wanted indexes that are to be made. @throws CommandError 85, 86, also for two of one command */
function missing(collection: Collection, wanted: readonly IndexSpec[]): IndexSpec[] {
  const known = [...collection.indexes.values()].map(({ spec }) => spec);
  const fresh: IndexSpec[] = [];
  for (const spec of wanted) if (!exists([...known, ...fresh], spec)) fresh.push(spec);
  return fresh;
}

async function addIndexes(context: CommandContext, name: string, specs: readonly IndexSpec[]): Promise<Document> {
  const { engine, db, transaction } = context;
  const unit = unitOf(context);
  const known = unit.collection(db, name);
  rejectView(known);
  const collection = unit.ensureCollection(db, name);
  if (transaction === undefined) checkFree(engine, collection);
  const before = collection.indexes.size;
  const fresh = missing(collection, specs);
  if (transaction === undefined) await engine.buildIndexes(collection, fresh, context.operation);
  else if (fresh.length > 0 && !unit.isFresh(collection)) {
    throw new CommandError(
      CODES.OperationNotSupportedInTransaction,
      `Cannot create new indexes on existing collection ${db}.${name} in a multi-document transaction.`,
    );
  }
  // What a transaction has made is recorded when it is committed.
  else for (const spec of fresh) collection.addIndex(spec, partialFilter(spec));
  const numbers = { numIndexesBefore: new Int32(before), numIndexesAfter: new Int32(collection.indexes.size) };
  if (fresh.length === 0) return { ...numbers, note: 'all indexes already exist' };
  return { createdCollectionAutomatically: known === undefined, ...numbers, commitQuorum: 'votingMembers' };
}

export const createIndexes: Command = {
  name: 'createIndexes',
  inTransaction: true,
  fields: fields('indexes', 'commitQuorum', 'ignoreUnknownIndexOptions'),
  unknownField: 9,
  writes: true,
  writeConcern: true,
  run(context) {
    const { body } = context;
    const name = collectionName(body, 'createIndexes');
    if (body['indexes'] === undefined) throw missingField('createIndexes.indexes');
    const specs = documentList(body['indexes'], 'createIndexes.indexes').map(parseIndexSpec);
    if (specs.length === 0) throw badValue('Must specify at least one index to create');
    return untilUnlocked(context, () => addIndexes(context, name, specs));
  },
};

function existing(context: CommandContext, name: string): Collection {
  const collection = context.engine.catalog.find(context.db, name);
  if (collection === undefined)
    throw new CommandError(CODES.NamespaceNotFound, `ns does not exist: ${context.db}.${name}`);
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
    const source = listSource(documents);
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
      throw new CommandError(CODES.IndexNotFound, `index not found with name [${index}]`);
    return index;
  }
  if (!isDocument(index)) throw wrongType('dropIndexes.index', index, 'string');
  for (const { spec } of collection.indexes.values()) if (shellText(spec.key) === shellText(index)) return spec.name;
  throw new CommandError(CODES.IndexNotFound, `can't find index with key: ${shellText(index)}`);
}

function dropCommand(name: string): Command {
  return {
    name,
    fields: fields('index'),
    unknownField: 40415,
    writes: true,
    writeConcern: true,
    run(context) {
      const { engine, body } = context;
      const target = collectionName(body, name);
      const index: unknown = body['index'];
      return untilUnlocked(context, () => {
        const collection = existing(context, target);
        checkFree(engine, collection);
        if (index === undefined) throw missingField('dropIndexes.index');
        const before = collection.indexes.size;
        const all = [...collection.indexes.keys()].filter((one) => one !== '_id_');
        const wanted =
          index === '*' ? all : (Array.isArray(index) ? index : [index]).map((one: unknown) => named(collection, one));
        if (wanted.includes('_id_')) throw new CommandError(CODES.InvalidOptions, 'cannot drop _id index');
        for (const one of wanted) engine.removeIndex(collection, one);
        return {
          nIndexesWas: new Int32(before),
          ...(index === '*' ? { msg: 'non-_id indexes dropped for collection' } : {}),
        };
      });
    },
  };
}

export const dropIndexes = dropCommand('dropIndexes');
export const deleteIndexes = dropCommand('deleteIndexes');
