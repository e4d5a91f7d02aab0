import type { GrantedRole } from './users.ts';

/**
 * What a command does to a database. `write` changes documents, `schema` collections and indexes, `admin` what only who
 * runs the database should, `users` its users; `monitor` and `cluster` are about the server.
 */
export type Action = 'read' | 'write' | 'stats' | 'schema' | 'admin' | 'users' | 'monitor' | 'cluster';

interface Role {
  readonly actions: readonly Action[];
  /** On every database, for who has it on admin. */
  readonly everywhere: boolean;
}

const READ: readonly Action[] = ['read', 'stats'];
const WRITE: readonly Action[] = [...READ, 'write', 'schema'];
const ADMIN: readonly Action[] = ['stats', 'schema', 'admin'];
const ALL: readonly Action[] = [...WRITE, 'admin', 'users', 'monitor', 'cluster'];

const on = (actions: readonly Action[]): Role => ({ actions, everywhere: false });
const everywhere = (actions: readonly Action[]): Role => ({ actions, everywhere: true });

/** https://www.mongodb.com/docs/manual/reference/built-in-roles/ */
const ROLES: Readonly<Record<string, Role>> = {
  read: on(READ),
  readWrite: on(WRITE),
  dbAdmin: on(ADMIN),
  userAdmin: on(['users']),
  dbOwner: on([...WRITE, 'admin', 'users']),
  readAnyDatabase: everywhere(READ),
  readWriteAnyDatabase: everywhere(WRITE),
  dbAdminAnyDatabase: everywhere(ADMIN),
  userAdminAnyDatabase: everywhere(['users', 'stats']),
  clusterMonitor: everywhere(['monitor', 'stats']),
  hostManager: everywhere(['cluster']),
  clusterManager: everywhere(['monitor', 'cluster']),
  clusterAdmin: everywhere(['monitor', 'cluster', 'stats']),
  root: everywhere(ALL),
};

/** Roles over all databases exist on admin alone. */
export function isRole({ role, db }: GrantedRole): boolean {
  const known = Object.hasOwn(ROLES, role) ? ROLES[role] : undefined;
  return known !== undefined && (db === 'admin' || !known.everywhere);
}

/** Whether these roles let the action happen on that database; on every one, where `db` is undefined. */
export function isGranted(roles: readonly GrantedRole[], action: Action, db: string | undefined): boolean {
  return roles.some((granted) => {
    const role = isRole(granted) ? ROLES[granted.role] : undefined;
    if (role?.actions.includes(action) !== true) return false;
    // The oplog shows all that was ever written: who reads every database does not read that one.
    return granted.db === db || (role.everywhere && (db !== 'local' || role.actions.includes('monitor')));
  });
}
