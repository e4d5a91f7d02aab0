import { type Document, Int32, Long } from 'bson';
import { CODES } from '../codes.ts';
import type { Connection } from '../connection.ts';
import type { ServerCursor } from '../cursors.ts';
import type { Running } from '../engine.ts';
import { CommandError, failedToParse } from '../errors.ts';
import { compileFilter } from '../query/filter.ts';
import { toInteger } from '../values/numbers.ts';
import { isDocument, typeName } from '../values/types.ts';
import type { CommandContext } from './command.ts';
import { diagnostic } from './diagnostics.ts';

/** What a stage `$currentOp` may ask for; idle connections and sessions are never listed. */
const STAGE_OPTIONS = new Set([
  'allUsers',
  'idleConnections',
  'idleCursors',
  'idleSessions',
  'localOps',
  'truncateOps',
  'backtrace',
]);

const KINDS: Readonly<Record<string, string>> = {
  find: 'query',
  getMore: 'getmore',
  insert: 'insert',
  update: 'update',
  delete: 'remove',
};

const clientOf = ({ id, clientAddress, appName }: Connection): Document => ({
  desc: `conn${id}`,
  connectionId: new Int32(id),
  client: clientAddress,
  ...(appName === undefined ? {} : { appName }),
});

function shownCursor(cursor: ServerCursor): Document {
  const { id, source, sent, command, user } = cursor;
  return {
    cursorId: Long.fromBigInt(id),
    createdDate: new Date(cursor.createdAt),
    lastAccessDate: new Date(cursor.lastUse),
    nDocsReturned: Long.fromNumber(sent.documents),
    nBatchesReturned: Long.fromNumber(sent.batches),
    noCursorTimeout: cursor.noTimeout,
    tailable: source.tailing,
    awaitData: source.tailing && (source.changeStream || command['awaitData'] === true),
    originatingCommand: command,
    ...(user === undefined ? {} : { operationUsingCursorId: Long.fromNumber(user.id) }),
  };
}

function shownOperation(running: Running, cursor: ServerCursor | undefined): Document {
  const { operation, name, namespace, command, connection } = running;
  const ranMs = Date.now() - operation.startedAt;
  return {
    type: 'op',
    host: connection.serverAddress,
    ...clientOf(connection),
    active: true,
    currentOpTime: new Date().toISOString(),
    opid: new Int32(operation.id),
    ...(command['lsid'] === undefined ? {} : { lsid: command['lsid'] }),
    secs_running: Long.fromNumber(Math.floor(ranMs / 1000)),
    microsecs_running: Long.fromNumber(ranMs * 1000),
    op: KINDS[name] ?? 'command',
    ns: namespace,
    command,
    ...(cursor === undefined ? {} : { cursor: shownCursor(cursor) }),
  };
}

function shownIdle(cursor: ServerCursor): Document {
  const { namespace, connection, command } = cursor;
  const lsid = command['lsid'] === undefined ? {} : { lsid: command['lsid'] };
  return {
    type: 'idleCursor',
    host: connection.serverAddress,
    ...clientOf(connection),
    ns: namespace,
    ...lsid,
    cursor: shownCursor(cursor),
  };
}

/**
 * The operations that run now, with the cursors they use, and on demand the cursors that nobody uses at the moment.
 *
 * @throws CommandError 9 for an option that the stage has not or that is no boolean
 */
export function currentOperations({ engine }: CommandContext, options: unknown): Document[] {
  if (!isDocument(options)) {
    throw failedToParse(`$currentOp options must be specified in an object, but found: ${typeName(options)}`);
  }
  for (const [name, value] of Object.entries(options)) {
    if (!STAGE_OPTIONS.has(name)) throw failedToParse(`Unrecognized option '${name}' in $currentOp stage.`);
    if (typeof value !== 'boolean') {
      throw failedToParse(
        `The '${name}' parameter of the $currentOp stage must be a boolean value, but found: ${typeName(value)}`,
      );
    }
  }
  const cursors = [...engine.cursors.all()];
  const inUse = new Map(cursors.map((cursor) => [cursor.user, cursor]));
  const active = [...engine.running].map((one) => shownOperation(one, inUse.get(one.operation)));
  if (options['idleCursors'] !== true) return active;
  return [...active, ...cursors.filter(({ user }) => user === undefined).map((cursor) => shownIdle(cursor))];
}

/** Fields of the command that are not part of its filter. */
const OWN_FIELDS = /^(currentOp|\$.*|lsid|comment|maxTimeMS|apiVersion)$/;

/** As on the server: the stage of the same name, filtered by what else the command carries. */
export const currentOp = diagnostic(
  'currentOp',
  (context) => {
    const filter = Object.fromEntries(Object.entries(context.body).filter(([name]) => !OWN_FIELDS.test(name)));
    const test = compileFilter(filter);
    return { inprog: currentOperations(context, {}).filter((one) => test(one)) };
  },
  { adminOnly: true },
);

export const killOp = diagnostic(
  'killOp',
  ({ engine, body }) => {
    const id = toInteger(body['op']);
    if (id === undefined) throw new CommandError(CODES.NoSuchKey, 'Missing expected field "op"');
    for (const { operation } of engine.running) {
      if (operation.id === id) operation.interrupt(new CommandError(CODES.Interrupted, 'operation was interrupted'));
    }
    return { info: 'attempting to kill op' };
  },
  { adminOnly: true },
);
