import type { Document } from 'bson';
import type { UserName } from '../connection.ts';
import type { Engine } from '../engine.ts';
import { createDirectUnit } from '../sessions/direct-unit.ts';
import { encodeStored } from '../storage/incoming.ts';
import { keyString } from '../storage/key-string.ts';
import { decode } from '../values/bson.ts';
import { isDocument } from '../values/types.ts';
import type { Credential, Mechanism } from './scram.ts';

export interface GrantedRole {
  readonly role: string;
  readonly db: string;
}

/** As `admin.system.users` keeps it, https://www.mongodb.com/docs/manual/reference/system-users-collection/ */
export interface User extends UserName {
  readonly document: Document;
  readonly roles: readonly GrantedRole[];
}

const USERS = { db: 'admin', name: 'system.users' };

export const userId = ({ user, db }: UserName): string => `${db}.${user}`;

function read(document: Document): User {
  const granted: unknown = document['roles'];
  const roles = (Array.isArray(granted) ? granted : []).filter(isDocument);
  return {
    user: String(document['user']),
    db: String(document['db']),
    document,
    roles: roles.map(({ role, db }) => ({ role: String(role), db: String(db) })),
  };
}

export function findUser({ catalog }: Engine, name: UserName): User | undefined {
  const collection = catalog.find(USERS.db, USERS.name);
  const id = collection?.idIndex.keys.get(keyString(userId(name)));
  const raw = id === undefined ? undefined : collection?.records.get(id);
  return raw === undefined ? undefined : read(decode(raw));
}

export function allUsers({ catalog }: Engine): User[] {
  const records = catalog.find(USERS.db, USERS.name)?.records;
  return records === undefined ? [] : [...records].map(([, raw]) => read(decode(raw)));
}

/** Stores a new user or replaces the one of that name. */
export function storeUser(engine: Engine, name: UserName, document: Document): void {
  const unit = createDirectUnit(engine, false);
  const collection = unit.ensureCollection(USERS.db, USERS.name);
  const id = collection.idIndex.keys.get(keyString(userId(name)));
  const raw = encodeStored(document);
  if (id === undefined) unit.insert(collection, raw, document);
  else unit.update(collection, id, raw, document, { kind: 'replace' });
}

/** @returns whether there was one */
export function removeUser(engine: Engine, name: UserName): boolean {
  const collection = engine.catalog.find(USERS.db, USERS.name);
  const id = collection?.idIndex.keys.get(keyString(userId(name)));
  if (collection === undefined || id === undefined) return false;
  createDirectUnit(engine, false).remove(collection, id);
  return true;
}

/** What the user authenticates with by that mechanism. */
export function credentialFor(user: User, mechanism: Mechanism): Credential | undefined {
  const all: unknown = user.document['credentials'];
  const found: unknown = isDocument(all) ? all[mechanism] : undefined;
  if (!isDocument(found)) return undefined;
  const { iterationCount, salt, storedKey, serverKey } = found;
  return {
    iterationCount: Number(iterationCount),
    salt: String(salt),
    storedKey: String(storedKey),
    serverKey: String(serverKey),
  };
}
