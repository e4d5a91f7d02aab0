import type { Db, Document, MongoClient } from 'mongodb';
import { bad, type Finding, note, ok } from './findings.ts';

/** What the service does in its databases: reading and following them, ingest, and indexes. */
const ACTIONS = ['find', 'listCollections', 'changeStream', 'insert', 'update'] as const;
const INDEX_ACTIONS = ['createIndex', 'createCollection'] as const;

/** Runs a command on the database `admin`. */
export type AskAdmin = (command: Document) => Promise<Document>;

/**
 * Whether the service's user may do everything that the service does in `databases`, without trying any of it.
 * Rejects with the driver's errors.
 */
export async function rights(ask: AskAdmin, databases: readonly string[]): Promise<Finding> {
  const about = 'privileges';
  const asked = await ask({ connectionStatus: 1, showPrivileges: true });
  const info: Document = asked['authInfo'] ?? {};
  const users = listOf(info['authenticatedUsers']).map((user) => String(user['user']));
  if (users.length === 0) {
    return note(about, 'nobody has to log in here', 'unless only this machine reaches MongoDB, start it with --auth');
  }
  const privileges = listOf(info['authenticatedUserPrivileges']);
  const missing = (actions: readonly string[]): string[] =>
    databases.flatMap((database) => {
      const held = heldOn(database, privileges);
      return actions.filter((action) => !held.has(action)).map((action) => `${action} on ${database}`);
    });
  // One stream over two databases is a stream over the cluster.
  const elsewhere = databases.length > 1 && !heldOn('', privileges).has('changeStream');
  const needed = [...missing(ACTIONS), ...(elsewhere ? ['changeStream and find on all databases'] : [])];
  const grants = databases.map((database) => `{ role: "readWrite", db: "${database}" }`);
  const role = elsewhere ? [...grants, '{ role: "readAnyDatabase", db: "admin" }'] : grants;
  if (needed.length > 0) {
    return bad(
      about,
      `${users.join(', ')} lacks ${needed.join(', ')}`,
      `db.grantRolesToUser("${users[0]}", [${role.join(', ')}])`,
    );
  }
  const unindexed = missing(INDEX_ACTIONS);
  if (unindexed.length === 0) return ok(about, `${users.join(', ')} may do all that is needed`);
  return note(
    about,
    `${users.join(', ')} lacks ${unindexed.join(', ')}`,
    'make the indexes yourself, or grant readWrite',
  );
}

/** The actions on every collection of a database; those on all databases where it is ''. */
function heldOn(database: string, privileges: readonly Document[]): ReadonlySet<string> {
  const covering = privileges.filter(({ resource }) => {
    if (resource?.['anyResource'] === true) return true;
    return (resource?.['db'] === database || resource?.['db'] === '') && resource?.['collection'] === '';
  });
  return new Set(covering.flatMap(({ actions }) => (Array.isArray(actions) ? actions.map(String) : [])));
}

const listOf = (value: unknown): Document[] => (Array.isArray(value) ? value : []);

/** Whether the stream that the service will open can be opened: over one database, or over the cluster for two. */
export function streamCommand(client: MongoClient, databases: readonly string[]): { db: Db; stage: Document } {
  const [only = 'admin', ...more] = databases;
  return more.length === 0
    ? { db: client.db(only), stage: { $changeStream: {} } }
    : { db: client.db('admin'), stage: { $changeStream: { allChangesForCluster: true } } };
}
