import { Binary, type Document, Int32, UUID } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, typeMismatch } from '../errors.ts';
import { SESSION_TIMEOUT_MINUTES } from '../sessions/sessions.ts';
import { isDocument, typeName } from '../values/types.ts';
import { type Command, fields } from './command.ts';
import { wrongType } from './fields.ts';

/** The ids in a list of `{id}`. @throws CommandError 14, in the words of the server's own interface types */
function idsIn(value: unknown, command: string, type: string): Binary[] {
  if (!Array.isArray(value)) throw wrongType(`${type}.${command}`, value, 'array');
  return value.map((item: unknown) => {
    if (!isDocument(item)) throw wrongType(`${type}.${command}`, item, 'object');
    const id: unknown = item['id'];
    if (!(id instanceof Binary)) {
      throw typeMismatch(
        `BSON field '${type}.${command}.id' is the wrong type '${typeName(id)}', expected type 'binData'`,
      );
    }
    return id;
  });
}

function endCommand(name: string, type: string): Command {
  return {
    name,
    fields: fields(),
    unknownField: 40415,
    always: true,
    run({ engine, body, connection: { uid } }) {
      for (const id of idsIn(body[name], name, type)) {
        const session = engine.sessions.find(id, uid);
        if (session === undefined) continue;
        engine.cursors.killWhere(
          (cursor) => cursor.sessionKey === session.key,
          new CommandError(CODES.Interrupted, 'the session was ended'),
        );
        engine.sessions.end(id, uid);
      }
      return {};
    },
  };
}

export const endSessions = endCommand('endSessions', 'EndSessionsCmdFromClient');
export const killSessions = endCommand('killSessions', 'KillSessionsCmdFromClient');

export const killAllSessions: Command = {
  name: 'killAllSessions',
  fields: fields(),
  unknownField: 40415,
  always: true,
  run({ engine }) {
    for (const session of [...engine.sessions.all()]) {
      const { key, lsid } = session;
      engine.cursors.killWhere(
        (cursor) => cursor.sessionKey === key,
        new CommandError(CODES.Interrupted, 'the session was killed'),
      );
      const { id, uid } = lsid;
      if (id instanceof Binary && uid instanceof Binary) engine.sessions.end(id, uid);
    }
    return {};
  },
};

export const refreshSessions: Command = {
  name: 'refreshSessions',
  fields: fields(),
  unknownField: 40415,
  always: true,
  run({ engine, body, connection: { uid } }) {
    for (const id of idsIn(body['refreshSessions'], 'refreshSessions', 'RefreshSessionsCmdFromClient')) {
      const session = engine.sessions.find(id, uid);
      if (session !== undefined) session.lastUse = Date.now();
    }
    return {};
  },
};

export const startSession: Command = {
  name: 'startSession',
  fields: fields(),
  unknownField: 40415,
  always: true,
  run() {
    const id = new Binary(new UUID().buffer, Binary.SUBTYPE_UUID);
    return { id: { id }, timeoutMinutes: new Int32(SESSION_TIMEOUT_MINUTES) };
  },
};

function noTransaction(number: bigint, how: string): CommandError {
  return new CommandError(CODES.NoSuchTransaction, `Transaction ${number} has been ${how}.`);
}

export const commitTransaction: Command = {
  name: 'commitTransaction',
  fields: fields('commitTimestamp', 'durableTimestamp', 'recoveryToken'),
  unknownField: 40415,
  adminOnly: true,
  writes: true,
  inTransaction: true,
  writeConcern: true,
  run({ transaction }): Document {
    if (transaction === undefined)
      throw new CommandError(CODES.CommandFailed, 'commitTransaction must be run within a transaction');
    if (transaction.state === 'aborted') throw noTransaction(transaction.number, 'aborted');
    // Committing again what is committed is how drivers make sure of it.
    transaction.commit();
    return {};
  },
};

export const abortTransaction: Command = {
  name: 'abortTransaction',
  fields: fields('recoveryToken'),
  unknownField: 40415,
  adminOnly: true,
  writes: true,
  inTransaction: true,
  writeConcern: true,
  run({ transaction }): Document {
    if (transaction === undefined)
      throw new CommandError(CODES.CommandFailed, 'abortTransaction must be run within a transaction');
    if (transaction.state === 'aborted') throw noTransaction(transaction.number, 'aborted');
    if (transaction.state === 'committed')
      throw new CommandError(CODES.TransactionCommitted, `Transaction ${transaction.number} has been committed.`);
    transaction.abort();
    return {};
  },
};
