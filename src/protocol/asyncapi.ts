import { z } from 'zod';
import { SERVER_MESSAGES } from './message-schemas.ts';
import { PROTOCOL_VERSION } from './messages.ts';
import { clientFrame } from './requests.ts';

type Json = Readonly<Record<string, unknown>>;

/** Every frame that a client sends, by its type, with the answers that come beside `error`. */
const ANSWERS = {
  subscribe: ['snapshot', 'subscribed'],
  unsubscribe: ['unsubscribed'],
  ping: ['pong'],
  auth: ['authenticated'],
} as const satisfies Record<z.infer<typeof clientFrame>['type'], readonly (keyof typeof SERVER_MESSAGES)[]>;

/** Makes JSON Schema draft 7, which AsyncAPI takes as it is, of what may come: fields may be added within a version. */
function schemaOf(schema: z.ZodType): Json {
  const { $schema: _schema, ...rest } = z.toJSONSchema(schema, { target: 'draft-7', io: 'input' });
  return rest;
}

/** JSON Schemas of all messages, by their `type`. */
function messageSchemas(): Record<string, Json> {
  const sent = clientFrame.options.map((frame): [string, Json] => [frame.shape.type.value, schemaOf(frame)]);
  const received = Object.entries(SERVER_MESSAGES).map(([type, schema]): [string, Json] => [type, schemaOf(schema)]);
  return Object.fromEntries([...sent, ...received]);
}

const refTo = (path: string) => (name: string) => ({ $ref: `#/${path}/${name}` });

/**
 * One JSON Schema, draft 7, with every message under `definitions`: a frame of the server is one of `serverMessage`, one
 * of a client is one of `clientFrame`.
 */
export function protocolSchema(): Json {
  const one = (names: readonly string[]): Json => ({ anyOf: names.map(refTo('definitions')) });
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: `RunCash Live wire protocol, version ${PROTOCOL_VERSION}`,
    ...one(['serverMessage', 'clientFrame']),
    definitions: {
      serverMessage: one(Object.keys(SERVER_MESSAGES)),
      clientFrame: one(Object.keys(ANSWERS)),
      ...messageSchemas(),
    },
  };
}

/** PROTOCOL.md for programs, AsyncAPI 3.0: what goes each way over the WebSocket, made from the schemas of the messages. */
export function asyncApiDocument(service: string, version: string): Json {
  const schemas = messageSchemas();
  const names = Object.keys(schemas);
  const answers = new Set<string>(Object.values(ANSWERS).flat());
  const unasked = Object.keys(SERVER_MESSAGES).filter((type) => !answers.has(type));
  const channel = { $ref: '#/channels/live' };
  const messages = (types: readonly string[]) => types.map(refTo('channels/live/messages'));
  const asked = Object.entries(ANSWERS).map(([type, own]) => [
    type,
    {
      action: 'receive',
      channel,
      messages: messages([type]),
      reply: { channel, messages: messages([...own, 'error']) },
    },
  ]);
  return {
    asyncapi: '3.0.0',
    info: {
      title: service,
      version,
      description: `Protocol ${PROTOCOL_VERSION}, from the server's side. The streams of GET /events and GET /poll, described in /openapi.json, carry the same messages.`,
    },
    defaultContentType: 'application/json',
    channels: {
      live: {
        address: '/ws',
        description: 'A WebSocket; every frame is one JSON object in one text frame.',
        messages: Object.fromEntries(names.map((name) => [name, refTo('components/messages')(name)])),
        bindings: {
          ws: {
            method: 'GET',
            query: { type: 'object', properties: { token: { type: 'string', description: 'With auth: jwt.' } } },
          },
        },
      },
    },
    operations: {
      ...Object.fromEntries(asked),
      publish: { action: 'send', channel, messages: messages(unasked) },
    },
    components: {
      messages: Object.fromEntries(names.map((name) => [name, { name, payload: refTo('components/schemas')(name) }])),
      schemas,
    },
  };
}
