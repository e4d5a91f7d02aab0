import type { Document } from 'bson';
import type { UserName } from '../connection.ts';
import { isDocument } from '../values/types.ts';
import type { Credential, Mechanism } from './scram.ts';

export interface GrantedRole {
  readonly role: string;
  readonly db: string;
}

/** With the fields that https://www.mongodb.com/docs/manual/reference/system-users-collection/ describes. */
export interface User extends UserName {
  readonly document: Document;
  readonly roles: readonly GrantedRole[];
}

/** Users are in no collection: no read, view, stage, stream or oplog can reach a credential. */
export interface Users {
  readonly size: number;
  find(name: UserName | undefined): User | undefined;
  all(): readonly User[];
  /** Adds a user or replaces the one of that name. */
  put(name: UserName, document: Document): void;
  /** @returns whether there was one */
  remove(name: UserName): boolean;
}

/** No database has a dot in its name. */
export const userId = ({ user, db }: UserName): string => `${db}.${user}`;

/** `record` hears of each change; without a document the user is gone. */
export function createUsers(record: (name: UserName, document?: Document) => void): Users {
  const users = new Map<string, User>();
  return {
    get size() {
      return users.size;
    },
    find: (name) => (name === undefined ? undefined : users.get(userId(name))),
    all: () => [...users.values()],
    put({ user, db }, document) {
      const granted: unknown = document['roles'];
      const roles = (Array.isArray(granted) ? granted : []).filter(isDocument);
      users.set(userId({ user, db }), {
        user,
        db,
        document,
        roles: roles.map((one) => ({ role: String(one['role']), db: String(one['db']) })),
      });
      record({ user, db }, document);
    },
    remove(name) {
      const existed = users.delete(userId(name));
      if (existed) record(name);
      return existed;
    },
  };
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
