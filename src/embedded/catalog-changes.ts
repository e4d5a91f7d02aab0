import type { Document } from 'bson';
import type { Engine } from './engine.ts';
import type { OplogOperation } from './oplog/oplog.ts';
import type { Locks } from './sessions/locks.ts';
import type { Catalog } from './storage/catalog.ts';
import { type Collection, placeOf } from './storage/collection.ts';
import { type IndexSpec, indexDocument, partialFilter } from './storage/collection-index.ts';
import { buildIndexes } from './storage/index-build.ts';

export type CatalogChanges = Pick<
  Engine,
  | 'createCollection'
  | 'publishCollection'
  | 'dropCollection'
  | 'addIndex'
  | 'buildIndexes'
  | 'removeIndex'
  | 'renameCollection'
  | 'trimCapped'
>;

interface Parts {
  readonly catalog: Catalog;
  readonly locks: Locks;
  record(operations: readonly OplogOperation[]): unknown;
  /** A document left a capped collection. */
  forget(collection: Collection, raw: Buffer): void;
}

/** Changes of collections and indexes, each with its entry in the oplog. */
export function createCatalogChanges({ catalog, locks, record, forget }: Parts): CatalogChanges {
  const recordIndexes = (collection: Collection, ...specs: readonly IndexSpec[]) => {
    const description = { indexes: specs.map(indexDocument) };
    record([{ kind: 'createIndexes', ...placeOf(collection), description }]);
  };

  const self: CatalogChanges = {
    createCollection(db, name, collectionOptions, uuid) {
      const collection = catalog.prepare(db, name, collectionOptions, uuid);
      self.publishCollection(collection);
      return collection;
    },
    publishCollection(collection) {
      catalog.add(collection);
      const description: Document = { ...collection.options.shown, idIndex: { v: 2, key: { _id: 1 }, name: '_id_' } };
      record([{ kind: 'create', ...placeOf(collection), description }]);
      for (const { spec } of collection.indexes.values()) if (spec.name !== '_id_') recordIndexes(collection, spec);
    },
    dropCollection(collection) {
      catalog.remove(collection);
      record([{ kind: 'drop', ...placeOf(collection) }]);
    },
    addIndex(collection, spec) {
      collection.addIndex(spec, partialFilter(spec));
      recordIndexes(collection, spec);
    },
    async buildIndexes(collection, specs, operation) {
      // As the server records it: each index of an empty collection by itself, those that were built as one.
      if (collection.records.size === 0) {
        for (const spec of specs) self.addIndex(collection, spec);
        return;
      }
      const release = locks.takeForBuild(collection);
      try {
        await buildIndexes(collection, specs, operation);
        recordIndexes(collection, ...specs);
      } finally {
        release();
      }
    },
    removeIndex(collection, name) {
      const index = collection.indexes.get(name);
      if (index === undefined) return;
      collection.removeIndex(name);
      record([{ kind: 'dropIndexes', ...placeOf(collection), description: { indexes: [indexDocument(index.spec)] } }]);
    },
    renameCollection(collection, db, name, target) {
      const from = placeOf(collection);
      if (target !== undefined) catalog.remove(target);
      catalog.move(collection, db, name);
      const to = { db, coll: name };
      const dropped = target === undefined ? {} : { dropTarget: target.uuid };
      record([
        {
          kind: 'rename',
          ...from,
          to,
          ...(target === undefined ? {} : { droppedTarget: target.uuid }),
          description: { to, ...dropped },
        },
      ]);
    },
    trimCapped(collection) {
      const { capped } = collection.options;
      if (capped === undefined) return;
      const over = () =>
        collection.bytes > capped.size || (capped.max !== undefined && collection.records.size > capped.max);
      for (const [id, raw] of collection.records) {
        if (!over()) return;
        collection.remove(id);
        // The journal alone hears of it: change streams do not show what a capped collection lets go.
        forget(collection, raw);
      }
    },
  };
  return self;
}
