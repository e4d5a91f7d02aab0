import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import type { Connection } from '../connection.ts';
import type { Engine } from '../engine.ts';
import { CommandError } from '../errors.ts';
import { shellText } from '../storage/shell-text.ts';
import { getField, isDocument } from '../values/types.ts';
import { type Action, isGranted } from './roles.ts';
import { allUsers, findUser, type User } from './users.ts';

/** A command of a client, as far as it matters who sent it. */
export interface Request {
  readonly name: string;
  readonly db: string;
  readonly body: Document;
  /** What is shown of it in words. */
  readonly shown: Document;
}

interface Need {
  readonly action: Action;
  /** Every database, where it is undefined. */
  readonly db: string | undefined;
  readonly coll?: string | undefined;
}

/** Answered to everybody, as a client must be able to find out what the server is and to authenticate. */
const OPEN: ReadonlySet<string> = new Set(
  'buildInfo buildinfo connectionStatus hello isMaster ismaster listCommands logout ping saslContinue saslStart whatsmyuri'.split(
    ' ',
  ),
);

/** For every user: about what is the client's own. */
const OWN: ReadonlySet<string> = new Set(
  'abortTransaction commitTransaction endSessions getMore killCursors killSessions listDatabases refreshSessions startSession'.split(
    ' ',
  ),
);

/** What the others need on their database; a command that is in no list needs `cluster`. */
const NEEDS: ReadonlyMap<string, Action> = new Map(
  (
    [
      ['read', 'aggregate count distinct find'],
      ['write', 'delete findAndModify findandmodify insert update'],
      ['stats', 'collStats collstats dbStats dbstats listCollections listIndexes'],
      ['schema', 'create createIndexes deleteIndexes drop dropIndexes'],
      ['admin', 'collMod dropDatabase validate'],
      [
        'users',
        'createUser dropAllUsersFromDatabase dropUser grantRolesToUser revokeRolesFromUser updateUser usersInfo',
      ],
      [
        'monitor',
        'currentOp getCmdLineOpts getDefaultRWConcern getLog getParameter hostInfo replSetGetConfig replSetGetStatus serverStatus',
      ],
    ] as const
  ).flatMap(([action, names]) => names.split(' ').map((name): [string, Action] => [name, action])),
);

const split = (namespace: unknown): { readonly db: string; readonly coll: string } => {
  const [db = '', ...coll] = String(namespace).split('.');
  return { db, coll: coll.join('.') };
};

/** Where `$out` and `$merge` write to. */
function outputNeeds(stage: Document, db: string): Need[] {
  const target: unknown = stage['$out'] ?? (isDocument(stage['$merge']) ? stage['$merge']['into'] : stage['$merge']);
  if (target === undefined) return [];
  const into = isDocument(target)
    ? { db: String(target['db'] ?? db), coll: String(target['coll']) }
    : { db, coll: String(target) };
  return [{ action: 'write', ...into }];
}

function aggregateNeeds({ body, db }: Request): Need[] {
  const coll: unknown = body['aggregate'];
  const given: unknown = body['pipeline'];
  const stages = (Array.isArray(given) ? given : []).filter(isDocument);
  const outputs = stages.flatMap((stage) => outputNeeds(stage, db));
  // Joins read from the same database, and this is the only collection there that is not for all its readers.
  if (db === 'admin' && JSON.stringify(stages).includes('system.')) outputs.push({ action: 'users', db });
  const [first = {}] = stages;
  if ('$currentOp' in first) return [{ action: 'monitor', db: 'admin' }, ...outputs];
  const stream: unknown = first['$changeStream'];
  const ofAll = isDocument(stream) && stream['allChangesForCluster'] === true;
  return [
    { action: 'read', db: ofAll ? undefined : db, coll: typeof coll === 'string' ? coll : undefined },
    ...outputs,
  ];
}

/** What the command needs; undefined for one that every user may run. */
function needsOf(request: Request): readonly Need[] | undefined {
  const { name, body, db } = request;
  if (OWN.has(name)) return undefined;
  if (name === 'aggregate') return aggregateNeeds(request);
  if (name === 'explain') {
    const inner: unknown = body['explain'];
    const [innerName = ''] = isDocument(inner) ? Object.keys(inner) : [];
    return isDocument(inner) ? needsOf({ ...request, name: innerName, body: inner }) : [];
  }
  if (name === 'renameCollection') {
    return [split(body[name]), split(body['to'])].map((place) => ({ action: 'write', ...place }));
  }
  if (name === 'bulkWrite') {
    const places: unknown = body['nsInfo'];
    return (Array.isArray(places) ? places : []).map((place) => ({ action: 'write', ...split(place?.ns) }));
  }
  const target = getField(body, name);
  return [{ action: NEEDS.get(name) ?? 'cluster', db, coll: typeof target === 'string' ? target : undefined }];
}

/** Users are changed by their commands alone, and read by who may do that: nobody else has anything in `admin.system`. */
function mayUse(user: User, { action, db, coll }: Need): boolean {
  if (db === 'admin' && coll?.startsWith('system.') === true) {
    return action !== 'write' && action !== 'schema' && isGranted(user.roles, 'users', db);
  }
  return isGranted(user.roles, action, db);
}

/** Whoever is on this machine may make the first user, https://www.mongodb.com/docs/manual/core/localhost-exception/ */
function isFirstUser(engine: Engine, connection: Connection, { name, db }: Request): boolean {
  const isLocal = /^(?:127\.|\[::1\])/.test(connection.clientAddress);
  return name === 'createUser' && db === 'admin' && isLocal && allUsers(engine).length === 0;
}

/** Whether the client may see that database. */
export function maySee(engine: Engine, connection: Connection, db: string): boolean {
  if (!engine.options.auth) return true;
  const user = connection.user === undefined ? undefined : findUser(engine, connection.user);
  return user !== undefined && isGranted(user.roles, 'stats', db);
}

/** @throws CommandError 13 Unauthorized, when the server asks who its clients are */
export function checkAuthorized(engine: Engine, connection: Connection, request: Request): void {
  const { name, db, shown } = request;
  if (!engine.options.auth || OPEN.has(name) || isFirstUser(engine, connection, request)) return;
  // Looked up anew each time: what is taken from a user is taken from connections that are open, too.
  const user = connection.user === undefined ? undefined : findUser(engine, connection.user);
  if (user === undefined) throw new CommandError(CODES.Unauthorized, `command ${name} requires authentication`);
  if (needsOf(request)?.every((need) => mayUse(user, need)) === false) {
    throw new CommandError(CODES.Unauthorized, `not authorized on ${db} to execute command ${shellText(shown)}`);
  }
}
