import type { Document } from 'bson';
import type { GrantedRole } from './users.ts';

/**
 * What a command does to a database. `write` changes documents, `schema` collections and indexes, `admin` what only who
 * runs the database should; `monitor` shows the server, and `cluster` is all the rest, users among it.
 */
export type Action = 'read' | 'write' | 'stats' | 'schema' | 'admin' | 'monitor' | 'cluster';

/** What a user must be granted. */
export interface Need {
  readonly action: Action;
  /** Every database, where it is undefined. */
  readonly db: string | undefined;
}

/** As connectionStatus names them, https://www.mongodb.com/docs/manual/reference/privilege-actions/ */
const PRIVILEGES: Readonly<Record<Action, readonly string[]>> = {
  read: ['changeStream', 'find'],
  write: ['insert', 'remove', 'update'],
  stats: ['collStats', 'dbStats', 'listCollections', 'listIndexes'],
  schema: ['createCollection', 'createIndex', 'dropCollection', 'dropIndex'],
  admin: ['collMod', 'dropDatabase', 'validate'],
  monitor: ['inprog', 'serverStatus'],
  cluster: ['advanceClusterTime', 'createUser', 'dropUser', 'grantRole', 'killop', 'revokeRole', 'viewUser'],
};

interface Role {
  readonly actions: readonly Action[];
  /** On every database, for who has it on admin. */
  readonly everywhere: boolean;
}

const READ: readonly Action[] = ['read', 'stats'];
const WRITE: readonly Action[] = [...READ, 'write', 'schema'];
const ADMIN: readonly Action[] = ['stats', 'schema', 'admin'];

const on = (actions: readonly Action[]): Role => ({ actions, everywhere: false });
const everywhere = (actions: readonly Action[]): Role => ({ actions, everywhere: true });

/**
 * Those of https://www.mongodb.com/docs/manual/reference/built-in-roles/ that this server has. Users are made by root
 * alone: who may grant any role has all of them.
 */
const ROLES: Readonly<Record<string, Role>> = {
  read: on(READ),
  readWrite: on(WRITE),
  dbAdmin: on(ADMIN),
  readAnyDatabase: everywhere(READ),
  readWriteAnyDatabase: everywhere(WRITE),
  dbAdminAnyDatabase: everywhere(ADMIN),
  clusterMonitor: everywhere(['monitor', 'stats']),
  root: everywhere([...WRITE, 'admin', 'monitor', 'cluster']),
};

export const ROLE_NAMES: readonly string[] = Object.keys(ROLES);

function roleOf({ role, db }: GrantedRole): Role | undefined {
  const known = Object.hasOwn(ROLES, role) ? ROLES[role] : undefined;
  return known?.everywhere === true && db !== 'admin' ? undefined : known;
}

/** Roles over all databases exist on admin alone. */
export const isRole = (granted: GrantedRole): boolean => roleOf(granted) !== undefined;

/** Whether these roles let the action happen on that database; on every one, where `db` is undefined. */
export function isGranted(roles: readonly GrantedRole[], action: Action, db: string | undefined): boolean {
  return roles.some((granted) => {
    const role = roleOf(granted);
    if (role?.actions.includes(action) !== true) return false;
    // The oplog shows all that was ever written: who reads every database does not read that one.
    return granted.db === db || (role.everywhere && (db !== 'local' || role.actions.includes('cluster')));
  });
}

/** `{resource, actions}` for each role. */
export function privilegesOf(roles: readonly GrantedRole[]): Document[] {
  return roles.flatMap((granted) => {
    const role = roleOf(granted);
    if (role === undefined) return [];
    const resource = { db: role.everywhere ? '' : granted.db, collection: '' };
    return [{ resource, actions: role.actions.flatMap((action) => PRIVILEGES[action]) }];
  });
}
