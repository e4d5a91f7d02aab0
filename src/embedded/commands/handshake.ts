import { type Document, Int32, Long } from 'bson';
import { MECHANISMS } from '../auth/scram.ts';
import type { Engine } from '../engine.ts';
import { CommandError, location, typeMismatch } from '../errors.ts';
import { waitFor } from '../operation.ts';
import { toTimestamp } from '../oplog/clock.ts';
import { SESSION_TIMEOUT_MINUTES } from '../sessions/sessions.ts';
import { toInteger } from '../values/numbers.ts';
import { isDocument } from '../values/types.ts';
import { MAX_DOCUMENT_BYTES, MAX_MESSAGE_BYTES } from '../wire/messages.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import { topologyVersion } from './decorate.ts';
import { startSasl } from './sasl.ts';
import { MAX_BATCH } from './write-batch.ts';

const WIRE_VERSIONS = { '4.4': 9, '8.0': 25 } as const;

/** Whether the server takes writes at an address of its own. */
export const isPrimaryAt = ({ replication, members }: Engine, address: string): boolean =>
  replication.isPrimary && address !== members?.secondary;

function memberFields(engine: Engine, address: string): Document {
  const { replication, oplog, members } = engine;
  const isPrimary = isPrimaryAt(engine, address);
  const { time } = oplog.committed;
  const term = Long.fromNumber(replication.term);
  const opTime = { ts: toTimestamp(oplog.last), t: term };
  const majorityOpTime = { ts: toTimestamp(time), t: term };
  // The oplog's time in whole seconds, as the server gives it: not when the write was made on the host's clock.
  const lastWriteDate = new Date(oplog.last.t * 1000);
  const majorityWriteDate = new Date(time.t * 1000);
  return {
    hosts: members === null ? [address] : [members.primary, members.secondary],
    setName: 'rs0',
    setVersion: new Int32(1),
    ...(replication.isPrimary ? { primary: members?.primary ?? address } : {}),
    me: address,
    ...(isPrimary ? { electionId: replication.electionId } : {}),
    lastWrite: { opTime, lastWriteDate, majorityOpTime, majorityWriteDate },
  };
}

/** What a client that wants to authenticate asks a greeting for: the user's mechanisms, and the first step taken. */
function authentication({ engine, connection, body, db }: CommandContext): Document {
  const reply: Document = {};
  // Every user has both, and who has not authenticated is not told which users there are.
  if (typeof body['saslSupportedMechs'] === 'string') reply['saslSupportedMechs'] = MECHANISMS;
  const begun: unknown = body['speculativeAuthenticate'];
  if (!isDocument(begun)) return reply;
  try {
    const source: unknown = begun['db'];
    reply['speculativeAuthenticate'] = startSasl(engine, connection, typeof source === 'string' ? source : db, begun);
  } catch (error) {
    // The client begins anew with saslStart, and is told there.
    if (!(error instanceof CommandError)) throw error;
  }
  return reply;
}

async function run(context: CommandContext, primaryField: 'isWritablePrimary' | 'ismaster'): Promise<Document> {
  const { engine, connection, body, operation } = context;
  const { replication } = engine;
  const client: unknown = body['client'];
  if (isDocument(client)) {
    const application: unknown = client['application'];
    if (isDocument(application) && typeof application['name'] === 'string') connection.appName = application['name'];
  }
  const known: unknown = body['topologyVersion'];
  const awaitMs = toInteger(body['maxAwaitTimeMS']);
  if ((known === undefined) !== (awaitMs === undefined)) {
    throw new CommandError(
      known === undefined ? 31368 : 51758,
      "A request with a 'topologyVersion' must include 'maxAwaitTimeMS' and the other way round",
    );
  }
  if (isDocument(known) && awaitMs !== undefined) {
    const counter: unknown = known['counter'];
    const sameProcess = String(known['processId']) === String(replication.processId);
    if (!(counter instanceof Long))
      throw typeMismatch("BSON field 'topologyVersion.counter' is the wrong type, expected type 'long'");
    if (sameProcess && counter.toNumber() > replication.topologyCounter) {
      throw location(31382, "Received a topology version with counter: it cannot be greater than the server's");
    }
    operation.deadline = undefined;
    if (sameProcess)
      await waitFor(operation, (callback) => replication.whenChanged(counter.toNumber(), callback), awaitMs);
  }
  const isPrimary = isPrimaryAt(engine, connection.serverAddress);
  return {
    ...(body['helloOk'] === true ? { helloOk: true } : {}),
    topologyVersion: topologyVersion(engine),
    ...(engine.options.standalone ? {} : memberFields(engine, connection.serverAddress)),
    [primaryField]: isPrimary,
    ...(engine.options.standalone ? {} : { secondary: !isPrimary }),
    maxBsonObjectSize: new Int32(MAX_DOCUMENT_BYTES),
    maxMessageSizeBytes: new Int32(MAX_MESSAGE_BYTES),
    maxWriteBatchSize: new Int32(MAX_BATCH),
    localTime: new Date(),
    logicalSessionTimeoutMinutes: new Int32(SESSION_TIMEOUT_MINUTES),
    connectionId: new Int32(connection.id),
    minWireVersion: new Int32(0),
    maxWireVersion: new Int32(WIRE_VERSIONS[engine.options.compat]),
    readOnly: false,
    ...authentication(context),
  };
}

const HELLO_FIELDS = fields(
  'helloOk',
  'client',
  'topologyVersion',
  'maxAwaitTimeMS',
  'saslSupportedMechs',
  'speculativeAuthenticate',
  'compression',
  'loadBalanced',
  'hostInfo',
  'internalClient',
  'forShell',
);

function greeting(name: string, primaryField: 'isWritablePrimary' | 'ismaster'): Command {
  return { name, fields: HELLO_FIELDS, always: true, run: (context) => run(context, primaryField) };
}

export const hello = greeting('hello', 'isWritablePrimary');
export const isMaster = greeting('isMaster', 'ismaster');
export const ismaster = greeting('ismaster', 'ismaster');

export const ping: Command = { name: 'ping', fields: fields(), always: true, run: () => ({}) };
