import { type Document, Double, Int32 } from 'bson';
import { may } from '../auth/authorize.ts';
import { CODES } from '../codes.ts';
import { badValue, CommandError } from '../errors.ts';
import { compileFilter } from '../query/filter.ts';
import type { Collection } from '../storage/collection.ts';
import { indexDocument } from '../storage/collection-index.ts';
import { decode, encode } from '../values/bson.ts';
import { FIRST_BATCH, listSource, openCursor } from './batch.ts';
import { type Command, fields } from './command.ts';
import { collectionName, optionalBoolean, optionalCount, optionalDocument, optionalInteger } from './fields.ts';
import { collectionStats, counted } from './stats.ts';

function describe(collection: Collection, nameOnly: boolean): Document {
  const { options, name } = collection;
  const type = options.view === undefined ? 'collection' : 'view';
  if (nameOnly) return { name, type };
  if (options.view !== undefined) return { name, type, options: options.shown, info: { readOnly: true } };
  return {
    name,
    type,
    options: options.shown,
    info: { readOnly: false, uuid: collection.uuid },
    idIndex: indexDocument(collection.idIndex.spec),
  };
}

export const listCollections: Command = {
  name: 'listCollections',
  fields: fields('filter', 'nameOnly', 'cursor', 'authorizedCollections', 'includePendingDrops'),
  unknownField: 40415,
  run(context) {
    const { engine, body, db } = context;
    const filter = optionalDocument(body, 'filter') ?? {};
    const test = compileFilter(filter);
    const nameOnly = optionalBoolean(body, 'nameOnly') ?? false;
    const documents = engine.catalog
      .collections(db)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((collection) => encode(describe(collection, nameOnly)))
      .filter((raw) => test(decode(raw)));
    const source = listSource(documents);
    const batchSize = optionalCount(optionalDocument(body, 'cursor') ?? {}, 'batchSize') ?? FIRST_BATCH;
    return openCursor(context, source, {
      namespace: `${db}.$cmd.listCollections`,
      batchSize,
      singleBatch: false,
      noTimeout: false,
    });
  },
};

export const listDatabases: Command = {
  name: 'listDatabases',
  fields: fields('nameOnly', 'filter', 'authorizedDatabases'),
  unknownField: 40415,
  adminOnly: true,
  run({ engine, connection, body }) {
    const test = compileFilter(optionalDocument(body, 'filter') ?? {});
    const nameOnly = optionalBoolean(body, 'nameOnly') ?? false;
    // The three that every member of a replica set has.
    const all = new Set(['admin', 'config', 'local', ...engine.catalog.databases()]);
    const names = [...all].filter((name) => may(engine, connection, 'stats', name));
    let total = 0;
    const databases: Document[] = [];
    for (const name of names.sort()) {
      let bytes = 0;
      for (const collection of engine.catalog.collections(name))
        bytes += Number(collectionStats(collection, 1)['totalSize']);
      const database: Document = {
        name,
        sizeOnDisk: new Double(bytes),
        empty: engine.catalog.collections(name).length === 0,
      };
      if (!test(database)) continue;
      total += bytes;
      databases.push(nameOnly ? { name } : database);
    }
    return nameOnly ? { databases } : { databases, totalSize: new Double(total) };
  },
};

export const collStats: Command = {
  name: 'collStats',
  fields: fields('scale', 'verbose', 'waitForLock', 'numericOnly'),
  unknownField: 9,
  run({ engine, body, db }) {
    const name = collectionName(body, 'collStats');
    const scale = optionalInteger(body, 'scale') ?? 1;
    if (scale < 1) throw badValue('scale has to be >= 1');
    const collection = engine.catalog.find(db, name);
    if (collection === undefined) {
      return {
        ns: `${db}.${name}`,
        size: counted(0),
        count: counted(0),
        storageSize: counted(0),
        totalSize: counted(0),
        nindexes: counted(0),
        totalIndexSize: counted(0),
        indexDetails: {},
        indexSizes: {},
        scaleFactor: counted(scale),
      };
    }
    if (collection.options.view !== undefined) {
      throw new CommandError(CODES.CommandNotSupportedOnView, `Namespace ${db}.${name} is a view, not a collection`);
    }
    return collectionStats(collection, scale);
  },
};

function databaseStats(collections: readonly Collection[], db: string, scale: number): Document {
  const sum = (name: string) =>
    collections.reduce((total, one) => total + Number(collectionStats(one, 1)[name]), 0) / scale;
  const objects = collections.reduce((total, one) => total + one.records.size, 0);
  const size = sum('size');
  return {
    db,
    collections: new Int32(collections.filter((one) => one.options.view === undefined).length),
    views: new Int32(collections.filter((one) => one.options.view !== undefined).length),
    objects: counted(objects),
    avgObjSize: new Double(objects === 0 ? 0 : (size * scale) / objects),
    dataSize: new Double(size),
    storageSize: new Double(sum('storageSize')),
    indexes: new Int32(collections.reduce((total, one) => total + one.indexes.size, 0)),
    indexSize: new Double(sum('totalIndexSize')),
    totalSize: new Double(sum('totalSize')),
    scaleFactor: new Double(scale),
  };
}

export const dbStats: Command = {
  name: 'dbStats',
  fields: fields('scale', 'freeStorage'),
  unknownField: 9,
  run({ engine, body, db }) {
    const scale = optionalInteger(body, 'scale') ?? 1;
    if (scale < 1) throw badValue('scale has to be > 0');
    return databaseStats(engine.catalog.collections(db), db, scale);
  },
};

export const dbstats: Command = { ...dbStats, name: 'dbstats' };
export const collstats: Command = {
  ...collStats,
  name: 'collstats',
  run: (context) => collStats.run({ ...context, body: { ...context.body, collStats: context.body['collstats'] } }),
};
