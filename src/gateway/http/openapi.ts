import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import { GROUPS, type Operation, type Parameter, type Route } from './route.ts';
import { PROBLEM, SCHEMAS } from './schemas.ts';

type Json = Readonly<Record<string, unknown>>;

/** An operation with its address and method. */
export interface Described extends Operation {
  readonly method: 'get' | 'post' | 'delete';
  readonly pattern: string;
}

/** Every described operation of the routes, by group. */
export function describedIn(routes: readonly Route[]): Described[] {
  const all = routes.flatMap(({ pattern, operations: { get, post, delete: remove } = {} }): Described[] => [
    ...(get === undefined ? [] : [{ ...get, method: 'get' as const, pattern }]),
    ...(post === undefined ? [] : [{ ...post, method: 'post' as const, pattern }]),
    ...(remove === undefined ? [] : [{ ...remove, method: 'delete' as const, pattern }]),
  ]);
  return GROUPS.flatMap((group) => all.filter((operation) => operation.group === group));
}

const reference = (name: string): string => `#/components/schemas/${name}`;

/** The name of a schema. Throws for one that has none: routes describe themselves with named schemas alone. */
export function nameOf(schema: z.ZodType): string {
  const id = SCHEMAS.get(schema)?.id;
  if (id === undefined) throw new Error('a schema of an operation has no name');
  return id;
}

const refTo = (schema: z.ZodType): Json => ({ $ref: reference(nameOf(schema)) });

/** JSON Schema 2020-12, which OpenAPI 3.1 takes as it is, of all named schemas; what a body becomes has no such form, and is not asked for. */
function componentsOf(io: 'input' | 'output'): Record<string, unknown> {
  const { schemas } = z.toJSONSchema(SCHEMAS, { io, uri: reference, unrepresentable: 'any' });
  return Object.fromEntries(
    Object.entries(schemas).map(([name, { $schema: _schema, $id: _id, ...schema }]) => [name, schema]),
  );
}

/** What a caller sends is shown as what may come, not as what is made of it. */
function schemasOf(operations: readonly Described[]): Json {
  const sent = operations.flatMap(({ body = [] }) => body.map(nameOf));
  const inputs = componentsOf('input');
  return { ...componentsOf('output'), ...Object.fromEntries(sent.map((name) => [name, inputs[name]])) };
}

const parameterOf = ({ name, in: place, about, required, integer }: Parameter): Json => ({
  name,
  in: place,
  description: about,
  required: required === true,
  schema:
    integer === undefined
      ? { type: 'string' }
      : { type: 'integer', minimum: integer.min, maximum: integer.max, default: integer.fallback },
});

function bodyOf({ body, example }: Operation): Json {
  if (body === undefined) return {};
  const [first] = body;
  const schema = body.length === 1 && first !== undefined ? refTo(first) : { anyOf: body.map(refTo) };
  return { requestBody: { required: true, content: { 'application/json': { schema, example } } } };
}

const text = { schema: { type: 'string' } };

function answersOf({ answers, formats = [], errors = [], errorSchema = PROBLEM, access }: Operation): Json {
  const others = Object.fromEntries(formats.map((format) => [format, text]));
  const good = Object.entries(answers).map(([status, name]): [string, Json] => [
    status,
    {
      description: STATUS_CODES[status] ?? '',
      ...(name === null ? {} : { content: { 'application/json': { schema: refTo(name) }, ...others } }),
    },
  ]);
  const type = errorSchema === PROBLEM ? 'application/problem+json' : 'application/json';
  const all = new Set([...errors, ...(access === undefined ? [] : [401]), 500]);
  const bad = [...all].map((status): [string, Json] => [
    String(status),
    { description: STATUS_CODES[status] ?? '', content: { [type]: { schema: refTo(errorSchema) } } },
  ]);
  return Object.fromEntries([...bad, ...good]);
}

const SECURITY = {
  ingest: [{ bearer: [] }, { basic: [] }, { apiKey: [] }, {}],
  admin: [{ bearer: [] }, { basic: [] }, { apiKey: [] }],
  tables: [{ bearer: [] }, { token: [] }, {}],
} as const;

const operationOf = (operation: Described): Json => ({
  summary: operation.summary,
  ...(operation.about === undefined ? {} : { description: operation.about }),
  operationId: `${operation.method}${operation.pattern.replace(/[^a-z0-9]+/gi, '_')}`,
  tags: [operation.group],
  ...(operation.group === 'Legacy' && operation.pattern !== '/' ? { deprecated: true } : {}),
  ...(operation.access === undefined ? {} : { security: SECURITY[operation.access] }),
  ...(operation.parameters === undefined ? {} : { parameters: operation.parameters.map(parameterOf) }),
  ...bodyOf(operation),
  responses: answersOf(operation),
});

/** `/a/:id` as OpenAPI writes it: `/a/{id}`. */
export const openApiPath = (pattern: string): string => pattern.replace(/:(\w+)/g, '{$1}');

/** The whole description, OpenAPI 3.1, made from what the routes tell about themselves. */
export function openApiDocument(service: string, version: string, routes: readonly Route[]): Json {
  const operations = describedIn(routes);
  const paths: Record<string, Record<string, Json>> = {};
  for (const operation of operations) {
    const path = openApiPath(operation.pattern);
    paths[path] = { ...paths[path], [operation.method]: operationOf(operation) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: service,
      version,
      description: 'Live roulette numbers and strategies. Subscribers use the WebSocket at /ws, or /events, or /poll.',
    },
    paths,
    components: {
      schemas: schemasOf(operations),
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        basic: { type: 'http', scheme: 'basic' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
        token: { type: 'apiKey', in: 'query', name: 'token' },
      },
    },
  };
}
