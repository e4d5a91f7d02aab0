import { type Document, Int32 } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { checkNamespace } from '../storage/catalog.ts';
import type { Collection } from '../storage/collection.ts';
import { shellText } from '../storage/shell-text.ts';
import { checkFree } from './catalog-wait.ts';
import { CHANGEABLE_OPTIONS, CREATE_OPTIONS, collectionOptions } from './collection-options.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import { collectionName, optionalBoolean, optionalDocument, optionalInteger, optionalString } from './fields.ts';
import { unitOf, untilUnlocked } from './write-batch.ts';

export const create: Command = {
  name: 'create',
  fields: fields(...CREATE_OPTIONS),
  unknownField: 40415,
  writes: true,
  writeConcern: true,
  inTransaction: true,
  run(context) {
    const { engine, body, db } = context;
    const unit = unitOf(context);
    const name = collectionName(body, 'create');
    checkNamespace(db, name);
    const options = collectionOptions(body, engine.modern);
    const known = unit.collection(db, name);
    if (known !== undefined) {
      if (engine.modern && shellText(known.options.shown) === shellText(options.shown)) return {};
      throw new CommandError(CODES.NamespaceExists, `Collection already exists. NS: ${db}.${name}`);
    }
    unit.ensureCollection(db, name, options);
    return {};
  },
};

function mustExist(collection: Collection | undefined): Collection {
  if (collection === undefined) throw new CommandError(CODES.NamespaceNotFound, 'ns not found');
  return collection;
}

export const drop: Command = {
  name: 'drop',
  fields: fields(),
  unknownField: 40415,
  writes: true,
  writeConcern: true,
  run(context) {
    const { engine, body, db } = context;
    const name = collectionName(body, 'drop');
    checkNamespace(db, name);
    return untilUnlocked(context, () => {
      const found = engine.catalog.find(db, name);
      // Since 7.0 there is nothing wrong with dropping what does not exist.
      if (found === undefined && engine.modern) return {};
      const collection = mustExist(found);
      checkFree(engine, collection);
      engine.dropCollection(collection);
      const indexes = collection.options.view === undefined ? { nIndexesWas: new Int32(collection.indexes.size) } : {};
      return { ...indexes, ns: `${db}.${name}` };
    });
  },
};

export const dropDatabase: Command = {
  name: 'dropDatabase',
  fields: fields(),
  unknownField: 40415,
  writes: true,
  writeConcern: true,
  run(context) {
    const { engine, db } = context;
    if (db === 'admin' || db === 'config' || db === 'local') {
      throw new CommandError(CODES.IllegalOperation, `Dropping the '${db}' database is prohibited.`);
    }
    return untilUnlocked(context, () => {
      const collections = engine.catalog.collections(db);
      if (collections.length === 0) return engine.modern ? { dropped: db } : {};
      checkFree(engine, ...collections);
      for (const collection of collections) engine.dropCollection(collection);
      engine.record([{ kind: 'dropDatabase', db }]);
      return { dropped: db };
    });
  },
};

/** `db.collection` taken apart at the first dot. */
function splitNamespace(namespace: string): { readonly db: string; readonly name: string } {
  const dot = namespace.indexOf('.');
  const db = dot < 0 ? namespace : namespace.slice(0, dot);
  const name = dot < 0 ? '' : namespace.slice(dot + 1);
  checkNamespace(db, name);
  return { db, name };
}

export const renameCollection: Command = {
  name: 'renameCollection',
  fields: fields('to', 'dropTarget', 'stayTemp'),
  unknownField: 40415,
  adminOnly: true,
  writes: true,
  writeConcern: true,
  run(context) {
    const { engine, body } = context;
    const from = splitNamespace(optionalString(body, 'renameCollection') ?? '');
    const to = splitNamespace(optionalString(body, 'to') ?? '');
    if (from.db === to.db && from.name === to.name)
      throw new CommandError(CODES.IllegalOperation, "Can't rename a collection to itself");
    return untilUnlocked(context, () => {
      const source = engine.catalog.find(from.db, from.name);
      if (source === undefined)
        throw new CommandError(CODES.NamespaceNotFound, `Source collection ${from.db}.${from.name} does not exist`);
      if (source.options.view !== undefined)
        throw new CommandError(CODES.CommandNotSupportedOnView, 'cannot rename view');
      const target = engine.catalog.find(to.db, to.name);
      if (target !== undefined && optionalBoolean(body, 'dropTarget') !== true)
        throw new CommandError(CODES.NamespaceExists, 'target namespace exists');
      checkFree(engine, source, target);
      engine.renameCollection(source, to.db, to.name, target);
      return {};
    });
  },
};

export const collMod: Command = {
  name: 'collMod',
  fields: fields('index', ...CHANGEABLE_OPTIONS, 'expireAfterSeconds', 'cappedSize', 'cappedMax', 'dryRun'),
  unknownField: 40415,
  writes: true,
  writeConcern: true,
  run: (context) => untilUnlocked(context, () => modifyCollection(context)),
};

function modifyCollection({ engine, body, db }: CommandContext): Document {
  const collection = mustExist(engine.catalog.find(db, collectionName(body, 'collMod')));
  checkFree(engine, collection);
  const index = optionalDocument(body, 'index');
  const reply = index === undefined ? {} : changeIndex(collection, index);
  const changed: Document = {};
  for (const name of CHANGEABLE_OPTIONS) {
    if (body[name] !== undefined) changed[name] = body[name];
  }
  if (Object.keys(changed).length > 0) {
    collection.setOptions({ ...collectionOptions({ ...collection.options.shown, ...changed }, engine.modern) });
  }
  engine.record([
    {
      kind: 'modify',
      db,
      coll: collection.name,
      uuid: collection.uuid,
      description: { ...changed, ...(index === undefined ? {} : { index }) },
    },
  ]);
  return reply;
}

/** Changes `expireAfterSeconds` or `hidden` of an index. @throws CommandError 27, 72 */
export function changeIndex(collection: Collection, change: Document): Document {
  const wanted = [...collection.indexes.values()].find(
    ({ spec }) =>
      spec.name === change['name'] ||
      (change['keyPattern'] !== undefined && shellText(spec.key) === shellText(change['keyPattern'])),
  );
  if (wanted === undefined)
    throw new CommandError(
      CODES.IndexNotFound,
      `cannot find index ${shellText(change)} for ns ${collection.namespace}`,
    );
  const { spec } = wanted;
  const seconds = optionalInteger(change, 'expireAfterSeconds');
  const hidden = optionalBoolean(change, 'hidden');
  if (seconds === undefined && hidden === undefined)
    throw new CommandError(CODES.InvalidOptions, 'no expireAfterSeconds or hidden field');
  const { hidden: wasHidden, ...options } = spec.options;
  const nowHidden = hidden ?? wasHidden === true;
  collection.replaceIndexSpec(spec.name, {
    ...spec,
    ...(seconds === undefined ? {} : { expireAfterSeconds: seconds }),
    options: {
      ...options,
      ...(seconds === undefined ? {} : { expireAfterSeconds: new Int32(seconds) }),
      ...(nowHidden ? { hidden: true } : {}),
    },
  });
  return {
    ...(seconds === undefined
      ? {}
      : {
          expireAfterSeconds_old: new Int32(spec.expireAfterSeconds ?? 0),
          expireAfterSeconds_new: new Int32(seconds),
        }),
    ...(hidden === undefined ? {} : { hidden_old: wasHidden === true, hidden_new: hidden }),
  };
}
