import { Binary, type Document, Int32 } from 'bson';
import { beginConversation, continueConversation, NOBODY, type Step } from '../auth/conversation.ts';
import type { Connection } from '../connection.ts';
import type { Engine } from '../engine.ts';
import { isDocument } from '../values/types.ts';
import { type Command, fields } from './command.ts';
import { missingField, optionalString, wrongType } from './fields.ts';

/** One authentication at a time on a connection: all have the same number. */
const CONVERSATION = new Int32(1);

function payloadOf(body: Document): Buffer {
  const payload: unknown = body['payload'];
  if (payload instanceof Binary) return Buffer.from(payload.value());
  if (typeof payload === 'string') return Buffer.from(payload, 'base64');
  throw wrongType('saslStart.payload', payload, 'binData');
}

const answer = ({ payload, done }: Step): Document => ({
  conversationId: CONVERSATION,
  done,
  payload: new Binary(payload),
});

/** Also what a hello brings as `speculativeAuthenticate`. @throws CommandError 18, 14, 40414 */
export function startSasl(engine: Engine, connection: Connection, db: string, body: Document): Document {
  const mechanism = optionalString(body, 'mechanism');
  if (mechanism === undefined) throw missingField('saslStart.mechanism');
  const options: unknown = body['options'];
  const isShort = isDocument(options) && options['skipEmptyExchange'] === true;
  return answer(beginConversation(engine, connection, db, mechanism, payloadOf(body), isShort));
}

export const saslStart: Command = {
  name: 'saslStart',
  fields: fields('mechanism', 'payload', 'autoAuthorize', 'options'),
  always: true,
  run: ({ engine, connection, db, body }) => startSasl(engine, connection, db, body),
};

export const saslContinue: Command = {
  name: 'saslContinue',
  fields: fields('conversationId', 'payload'),
  always: true,
  run: ({ connection, body }) => answer(continueConversation(connection, payloadOf(body))),
};

export const logout: Command = {
  name: 'logout',
  fields: fields(),
  always: true,
  run({ connection }) {
    connection.user = undefined;
    connection.uid = NOBODY;
    return {};
  },
};
