import { Binary, UUID } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { utf8Length } from '../values/text.ts';
import { type Collection, type CollectionOptions, createCollection } from './collection.ts';
import type { CommitCounter } from './versions.ts';

export const PLAIN_OPTIONS: CollectionOptions = { shown: {}, preImages: false };

/** Every database and collection, in memory. It changes nothing else: the oplog is the caller's affair. */
export interface Catalog {
  readonly commits: CommitCounter;
  databases(): string[];
  collections(db: string): Collection[];
  find(db: string, name: string): Collection | undefined;
  byUuid(uuid: Binary): Collection | undefined;
  /** A collection that only its maker knows until it is added. */
  prepare(db: string, name: string, options: CollectionOptions, uuid?: Binary): Collection;
  /** @throws CommandError 112 WriteConflict when there is one of that name, 13297 DatabaseDifferCase */
  add(collection: Collection): void;
  remove(collection: Collection): void;
  move(collection: Collection, db: string, name: string): void;
  openSnapshot(): number;
  closeSnapshot(): void;
}

const DATABASE_NAME = /^[^/\\. "$*<>:|?\0]{1,63}$/;

/** @throws CommandError 73 InvalidNamespace */
export function checkNamespace(db: string, name: string): void {
  const namespace = `${db}.${name}`;
  if (
    !DATABASE_NAME.test(db) ||
    name === '' ||
    name.startsWith('.') ||
    name.includes('\0') ||
    name.includes('$') ||
    utf8Length(namespace) > 255
  ) {
    throw new CommandError(CODES.InvalidNamespace, `Invalid namespace specified '${namespace}'`);
  }
}

/** @throws CommandError 73 InvalidNamespace */
export function checkDatabase(db: string): void {
  if (!DATABASE_NAME.test(db)) throw new CommandError(CODES.InvalidNamespace, `Invalid database name: '${db}'`);
}

export function newUuid(): Binary {
  return new Binary(new UUID().buffer, Binary.SUBTYPE_UUID);
}

export function createCatalog(): Catalog {
  const databases = new Map<string, Map<string, Collection>>();
  const uuids = new Map<string, Collection>();
  const commits: CommitCounter = { current: 1, openSnapshots: 0 };

  const detach = (collection: Collection) => {
    const db = databases.get(collection.db);
    db?.delete(collection.name);
    if (db?.size === 0) databases.delete(collection.db);
  };
  const attach = (collection: Collection) => {
    const db = databases.get(collection.db) ?? new Map<string, Collection>();
    databases.set(collection.db, db);
    db.set(collection.name, collection);
  };

  return {
    commits,
    databases: () => [...databases.keys()].sort(),
    collections: (db) => [...(databases.get(db)?.values() ?? [])],
    find: (db, name) => databases.get(db)?.get(name),
    byUuid: (uuid) => uuids.get(uuid.toString('hex')),
    prepare: (db, name, options, uuid = newUuid()) => createCollection(db, name, uuid, options, commits),
    add(collection) {
      const { db, name } = collection;
      if (databases.get(db)?.has(name) === true)
        throw new CommandError(CODES.WriteConflict, `Collection ${db}.${name} was created by another operation`);
      for (const known of databases.keys()) {
        if (known !== db && known.toLowerCase() === db.toLowerCase()) {
          throw new CommandError(
            CODES.DatabaseDifferCase,
            `db already exists with different case already have: [${known}] trying to create [${db}]`,
          );
        }
      }
      commits.current += 1;
      collection.markCreated();
      attach(collection);
      uuids.set(collection.uuid.toString('hex'), collection);
    },
    remove(collection) {
      commits.current += 1;
      detach(collection);
      uuids.delete(collection.uuid.toString('hex'));
      collection.markDropped();
    },
    move(collection, db, name) {
      commits.current += 1;
      detach(collection);
      collection.rename(db, name);
      attach(collection);
    },
    openSnapshot() {
      commits.openSnapshots += 1;
      return commits.current;
    },
    closeSnapshot() {
      commits.openSnapshots -= 1;
      if (commits.openSnapshots > 0) return;
      for (const db of databases.values()) for (const collection of db.values()) collection.forgetVersions();
    },
  };
}
