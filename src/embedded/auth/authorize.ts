import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import type { Connection } from '../connection.ts';
import type { Engine } from '../engine.ts';
import { CommandError } from '../errors.ts';
import { shellText } from '../storage/shell-text.ts';
import { isDocument } from '../values/types.ts';
import { type Action, isGranted, type Need } from './roles.ts';

/** A command of a client, as far as it matters who sent it. */
export interface Request {
  readonly name: string;
  readonly db: string;
  readonly body: Document;
  /** What is shown of it in words. */
  readonly shown: Document;
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
        'monitor',
        'currentOp getCmdLineOpts getDefaultRWConcern getLog getParameter hostInfo replSetGetConfig replSetGetStatus serverStatus',
      ],
    ] as const
  ).flatMap(([action, names]) => names.split(' ').map((name): [string, Action] => [name, action])),
);

const writeTo = (namespace: unknown): Need => ({ action: 'write', db: String(namespace).split('.', 1)[0] ?? '' });

/** Stages that show what others do. */
const OF_ALL_USERS = ['$currentOp', '$listLocalSessions', '$listSessions'];

/** What it reads; where its `$out` or `$merge` writes is checked when that is known. */
function aggregateNeeds({ body, db }: Request): Need[] {
  const given: unknown = body['pipeline'];
  const [first = {}] = (Array.isArray(given) ? given : []).filter(isDocument);
  if (OF_ALL_USERS.some((stage) => stage in first)) return [{ action: 'monitor', db: 'admin' }];
  const stream: unknown = first['$changeStream'];
  const ofAll = isDocument(stream) && stream['allChangesForCluster'] === true;
  return [{ action: 'read', db: ofAll ? undefined : db }];
}

/** What the command needs; nothing for one that every user may run. */
function needsOf(request: Request): readonly Need[] {
  const { name, body, db } = request;
  if (OWN.has(name)) return [];
  if (name === 'aggregate') return aggregateNeeds(request);
  if (name === 'explain') {
    const inner: unknown = body['explain'];
    const [innerName = ''] = isDocument(inner) ? Object.keys(inner) : [];
    return isDocument(inner) ? needsOf({ ...request, name: innerName, body: inner }) : [];
  }
  if (name === 'renameCollection') return [writeTo(body[name]), writeTo(body['to'])];
  if (name === 'bulkWrite') {
    const places: unknown = body['nsInfo'];
    return (Array.isArray(places) ? places : []).map((place) => writeTo(place?.ns));
  }
  return [{ action: NEEDS.get(name) ?? 'cluster', db }];
}

/** Whoever is on this machine may make the first user, https://www.mongodb.com/docs/manual/core/localhost-exception/ */
function isFirstUser(engine: Engine, connection: Connection, { name, db }: Request): boolean {
  const isLocal = /^(?:127\.|\[::1\])/.test(connection.clientAddress);
  return name === 'createUser' && db === 'admin' && isLocal && engine.users.size === 0;
}

/** Whether the client may do that to the database; to every one, where `db` is undefined. */
export function may(engine: Engine, connection: Connection, action: Action, db: string | undefined): boolean {
  if (!engine.options.auth) return true;
  const user = engine.users.find(connection.user);
  return user !== undefined && isGranted(user.roles, action, db);
}

/** @throws CommandError 13 Unauthorized, when the server asks who its clients are */
export function checkNeeds(
  engine: Engine,
  connection: Connection,
  { name, db, shown }: Omit<Request, 'body'>,
  needs: readonly Need[],
): void {
  if (!engine.options.auth) return;
  // Looked up anew each time: what is taken from a user is taken from connections that are open, too.
  const user = engine.users.find(connection.user);
  if (user === undefined) throw new CommandError(CODES.Unauthorized, `command ${name} requires authentication`);
  if (!needs.every((need) => isGranted(user.roles, need.action, need.db)))
    throw new CommandError(CODES.Unauthorized, `not authorized on ${db} to execute command ${shellText(shown)}`);
}

/** @returns what the command needs, to be checked again as its cursor is read @throws CommandError 13 Unauthorized */
export function authorize(engine: Engine, connection: Connection, request: Request): readonly Need[] {
  if (!engine.options.auth || OPEN.has(request.name) || isFirstUser(engine, connection, request)) return [];
  const needs = needsOf(request);
  checkNeeds(engine, connection, request, needs);
  return needs;
}
