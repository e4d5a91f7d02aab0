import { type Document, Timestamp } from 'bson';
import { authorize, may } from '../auth/authorize.ts';
import { CODES } from '../codes.ts';
import type { Connection } from '../connection.ts';
import type { Engine } from '../engine.ts';
import { CommandError, failedToParse, location } from '../errors.ts';
import type { Failure } from '../fail-points.ts';
import { type Operation, pause } from '../operation.ts';
import { fromTimestamp } from '../oplog/clock.ts';
import { decode } from '../values/bson.ts';
import { toNumber } from '../values/numbers.ts';
import { getField, isDocument } from '../values/types.ts';
import type { WireRequest } from '../wire/messages.ts';
import { rawArrayDocuments, rawElements, TYPE_ARRAY, wrapElements } from '../wire/raw.ts';
import type { Reply } from '../wire/reply.ts';
import type { Command, CommandContext } from './command.ts';
import {
  applyReadConcern,
  checkWriteConcern,
  readSnapshot,
  untilDurable,
  waitsForDisk,
  writeConcernError,
} from './concerns.ts';
import { concernLabels, type ErrorPlace, failed, succeeded } from './decorate.ts';
import { checkFields, modernOnly, optionalCount, optionalDocument } from './fields.ts';
import { isPrimaryAt } from './handshake.ts';
import { resolveSession } from './session-fields.ts';
import { commandTable } from './table.ts';

export interface Answered {
  readonly reply: Reply;
  /** Of a hello that succeeded. */
  readonly topologyVersion?: unknown;
}

/** The command's answer, or the wish of a fail point that the connection be closed. */
export type Outcome = Answered | { readonly close: true };

interface Parsed {
  readonly name: string;
  readonly command: Command;
  readonly db: string;
  readonly body: Document;
  readonly shown: Document;
  readonly batch: readonly Buffer[];
}

/** currentOp shows all of a command up to this size (1 KB on the server), and cursors remember so much. */
const MAX_SHOWN_BYTES = 16_384;

function commandName(body: Buffer): string {
  for (const element of rawElements(body)) return element.name;
  throw failedToParse('an empty document is not a command');
}

/** Decodes the command without its batch of documents, which stays raw. */
function parse(request: WireRequest, modern: boolean): Parsed {
  const name = commandName(request.body);
  const command = commandTable.get(name);
  if (command === undefined || (command.modernOnly === true && !modern)) {
    throw new CommandError(CODES.CommandNotFound, `no such command: '${name}'`);
  }
  let { body } = request;
  let batch: readonly Buffer[] = [];
  if (command.batchField !== undefined) {
    const parts: Buffer[] = [];
    for (const element of rawElements(request.body)) {
      if (element.name === command.batchField && element.type === TYPE_ARRAY) {
        batch = rawArrayDocuments(request.body, element, `${name}.${command.batchField}`);
      } else parts.push(request.body.subarray(element.start, element.end));
    }
    body = wrapElements(parts);
    const sequence = request.sequences.get(command.batchField);
    if (sequence !== undefined && batch.length > 0) {
      throw location(40413, `BSON field '${name}.${command.batchField}' is a duplicate field`);
    }
    batch = sequence ?? batch;
  }
  const decoded = decode(body);
  for (const [sequence, documents] of request.sequences) {
    if (sequence === command.batchField) continue;
    if (!command.fields.has(sequence) || Object.hasOwn(decoded, sequence)) {
      throw location(40415, `BSON field '${name}.${sequence}' is an unknown field.`);
    }
    decoded[sequence] = documents.map((document) => decode(document));
  }
  const db = request.queryDatabase ?? getField(decoded, '$db');
  if (typeof db !== 'string') throw location(40571, 'OP_MSG requests require a $db argument');
  const isLarge = body.length > MAX_SHOWN_BYTES || request.sequences.size > (batch.length > 0 ? 1 : 0);
  const shown = isLarge ? { [name]: decoded[name], $truncated: `${body.length} bytes` } : concealed(decoded);
  return { name, command, db, body: decoded, shown, batch };
}

/** Not for everybody who may see what runs here: a proof can be tried against passwords. */
function concealed(body: Document): Document {
  const secrets = ['pwd', 'payload', 'speculativeAuthenticate'].filter((name) => Object.hasOwn(body, name));
  return secrets.length === 0 ? body : { ...body, ...Object.fromEntries(secrets.map((name) => [name, 'xxx'])) };
}

function namespaceOf(parsed: Parsed): string | undefined {
  const target: unknown = parsed.body[parsed.name];
  return typeof target === 'string' ? `${parsed.db}.${target}` : undefined;
}

/** A server that is not primary answers only reads that say they may be stale. */
function checkPrimary(engine: Engine, address: string, command: Command, body: Document): void {
  if (isPrimaryAt(engine, address) || command.always === true) return;
  if (command.writes === true) throw new CommandError(CODES.NotWritablePrimary, 'not master');
  const preference: unknown = body['$readPreference'];
  const mode: unknown = isDocument(preference) ? preference['mode'] : undefined;
  if (mode === undefined || mode === 'primary')
    throw new CommandError(CODES.NotPrimaryNoSecondaryOk, 'not master and slaveOk=false');
}

/** Times are not signed here: with auth only who has the privilege `advanceClusterTime` moves the clock. */
function hearClusterTime(engine: Engine, connection: Connection, body: Document): void {
  const gossip: unknown = body['$clusterTime'];
  if (!isDocument(gossip) || engine.options.standalone || !may(engine, connection, 'cluster', undefined)) return;
  const time: unknown = gossip['clusterTime'];
  if (!(time instanceof Timestamp)) return;
  // maxAcceptableLogicalClockDriftSecs, one year
  if (time.t > Date.now() / 1000 + 31_536_000) {
    throw new CommandError(
      CODES.ClusterTimeFailsRateLimiter,
      "New cluster time is too far from this node's wall clock time",
    );
  }
  engine.clock.advance(fromTimestamp(time));
}

async function applyFailure(failure: Failure | undefined, operation: Operation): Promise<'close' | undefined> {
  if (failure === undefined) return undefined;
  if (failure.blockMs > 0) await pause(operation, failure.blockMs);
  if (failure.closeConnection) return 'close';
  if (failure.errorCode !== undefined) {
    throw new CommandError(failure.errorCode, "Failing command due to 'failCommand' failpoint");
  }
  return undefined;
}

/** `wtimeout`, in milliseconds. */
function timeLimitOf(body: Document): number | undefined {
  const limit = toNumber(optionalDocument(body, 'writeConcern')?.['wtimeout']);
  return limit === undefined || limit <= 0 ? undefined : limit;
}

/** Runs one command to its answer. Errors of the command become replies; only defects of this server throw. */
export async function dispatch(
  engine: Engine,
  connection: Connection,
  request: WireRequest,
  operation: Operation,
): Promise<Outcome> {
  let place: ErrorPlace = { inTransaction: false, isCommitOrAbort: false, isRetryableWrite: false };
  try {
    const parsed = parse(request, engine.modern);
    const { command, body, db, name } = parsed;
    const numbered = body['txnNumber'] !== undefined;
    const inTransaction = numbered && body['autocommit'] === false;
    place = {
      inTransaction,
      isCommitOrAbort: name === 'commitTransaction' || name === 'abortTransaction',
      isRetryableWrite: numbered && !inTransaction,
    };
    const failure = engine.failPoints.forCommand(name, namespaceOf(parsed), connection.appName);
    if (failure?.errorLabels !== undefined) place = { ...place, labels: failure.errorLabels };
    if ((await applyFailure(failure, operation)) === 'close') return { close: true };
    if (command.unknownField !== undefined)
      checkFields(body, name, command.unknownField, command.fields, modernOnly(engine, command.modernFields));
    if (command.adminOnly === true && db !== 'admin') {
      throw new CommandError(CODES.Unauthorized, `${name} may only be run against the admin database.`);
    }
    const needs = authorize(engine, connection, parsed);
    hearClusterTime(engine, connection, body);
    checkPrimary(engine, connection.serverAddress, command, body);
    const maxTimeMs = optionalCount(body, 'maxTimeMS');
    if (maxTimeMs !== undefined && maxTimeMs > 0 && name !== 'getMore')
      operation.deadline = operation.startedAt + maxTimeMs;
    if (command.writeConcern === true) checkWriteConcern(engine, body);
    applyReadConcern(engine, body, inTransaction);
    const resolved = resolveSession(engine, connection.uid, command, body);
    const snapshot = inTransaction ? undefined : readSnapshot(engine, command, body);
    const context: CommandContext = { ...parsed, engine, connection, operation, needs, snapshot, ...resolved };
    if (command.writes === true && name !== 'abortTransaction') {
      engine.checkWritable();
      await engine.whenRoom(operation);
    }
    const onItsOwn = !inTransaction || place.isCommitOrAbort;
    let undurable: Document | undefined;
    let reply: Document;
    try {
      reply = await runIn(context, command);
    } finally {
      // Also after an error: what it tells of, a duplicate key for one, may not be durable yet.
      if (waitsForDisk(engine, command, body, !onItsOwn)) {
        undurable = await untilDurable(engine, operation, timeLimitOf(body));
      }
    }
    if (connection.closing) return { close: true };
    const own = command.writeConcern === true && onItsOwn ? (undurable ?? writeConcernError(engine, body)) : undefined;
    const concernError = failure?.writeConcernError ?? own;
    if (concernError === undefined) {
      return { reply: succeeded(engine, reply), topologyVersion: reply['topologyVersion'] };
    }
    return { reply: succeeded(engine, { ...reply, ...concernLabels(concernError, place) }, concernError) };
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    if (connection.closing) return { close: true };
    return { reply: failed(engine, error, place) };
  }
}

/** An error in a transaction's statement ends the transaction, as on the server. */
async function runIn(context: CommandContext, command: Command): Promise<Document> {
  const { transaction, engine, operation, body, connection } = context;
  const target: unknown = command.name === 'getMore' ? body['collection'] : body[command.name];
  const running = {
    operation,
    name: command.name,
    command: context.shown,
    namespace: `${context.db}.${typeof target === 'string' ? target : '$cmd'}`,
    writes: command.writes === true,
    connection,
  };
  engine.running.add(running);
  try {
    const reply = await command.run(context);
    if (transaction !== undefined && Array.isArray(reply['writeErrors'])) transaction.abort();
    return reply;
  } catch (error) {
    if (command.name !== 'commitTransaction') transaction?.abort();
    throw error;
  } finally {
    engine.running.delete(running);
  }
}
