import { createHash } from 'node:crypto';
import { Binary } from 'bson';
import type { Connection, UserName } from '../connection.ts';
import type { Engine } from '../engine.ts';
import { authenticationFailed, createExchange, MECHANISMS, madeUpCredential, readClientFirst } from './scram.ts';
import { credentialFor, userId } from './users.ts';

/** What sessions belong to, https://github.com/mongodb/mongo/blob/r4.4.0/src/mongo/db/logical_session_id.idl */
export const uidOf = (name: UserName | undefined): Binary =>
  new Binary(
    createHash('sha256')
      .update(name === undefined ? '' : `${name.user}@${name.db}`)
      .digest(),
  );

export const NOBODY = uidOf(undefined);

/** One step of an authentication, as the server answers it. */
export interface Step {
  readonly payload: Buffer;
  readonly done: boolean;
}

/**
 * Begins to authenticate a connection. `isShort`: the client has asked to be spared the empty last message.
 *
 * @throws CommandError 18, whatever is wrong: who tries is not told which users there are
 */
export function beginConversation(
  engine: Engine,
  connection: Connection,
  db: string,
  name: string,
  payload: Buffer,
  isShort: boolean,
): Step {
  const mechanism = MECHANISMS.find((one) => one === name);
  if (mechanism === undefined) throw authenticationFailed();
  const client = readClientFirst(payload);
  const user = { user: client.user, db };
  const known = engine.users.find(user);
  const credential = known === undefined ? undefined : credentialFor(known, mechanism);
  const exchange = createExchange(mechanism, client, credential ?? madeUpCredential(mechanism, userId(user)));
  connection.conversation = { exchange, user, isShort, isProven: false };
  return { payload: exchange.first, done: false };
}

/** @throws CommandError 18 */
export function continueConversation(connection: Connection, payload: Buffer): Step {
  const { conversation } = connection;
  connection.conversation = undefined;
  if (conversation === undefined) throw authenticationFailed();
  const proven = conversation.isProven;
  const answer = proven ? Buffer.alloc(0) : conversation.exchange.finish(payload);
  const done = proven || conversation.isShort;
  if (done) {
    connection.user = conversation.user;
    connection.uid = uidOf(conversation.user);
  } else connection.conversation = { ...conversation, isProven: true };
  return { payload: answer, done };
}
