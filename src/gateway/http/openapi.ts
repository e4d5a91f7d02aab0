import { STATUS_CODES } from 'node:http';
import { z } from 'zod';
import type { Operation, Parameter } from './operation.ts';
import { OPERATIONS, TRANSPORT_OPERATIONS } from './operations.ts';
import { REQUEST_SCHEMAS, SCHEMAS, type SchemaName } from './schemas.ts';

type Json = Readonly<Record<string, unknown>>;

const reference = (name: string): string => `#/components/schemas/${name}`;
const refTo = (name: SchemaName): Json => ({ $ref: reference(name) });

/** JSON Schema 2020-12, which OpenAPI 3.1 takes as it is, of some of the schemas. */
function componentsOf(io: 'input' | 'output', wanted: (name: string) => boolean): Record<string, unknown> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(SCHEMAS)) if (wanted(id)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { io, uri: reference });
  return Object.fromEntries(
    Object.entries(schemas).map(([name, { $schema: _schema, $id: _id, ...schema }]) => [name, schema]),
  );
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

function answersOf({ answers, errors = [], errorSchema = 'Problem', access }: Operation): Json {
  const good = Object.entries(answers).map(([status, name]): [string, Json] => [
    status,
    {
      description: STATUS_CODES[status] ?? '',
      ...(name === null ? {} : { content: { 'application/json': { schema: refTo(name) } } }),
    },
  ]);
  const type = errorSchema === 'Problem' ? 'application/problem+json' : 'application/json';
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
} as const;

const operationOf = (operation: Operation): Json => ({
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

/** The whole description, OpenAPI 3.1, made from the schemas that the routes use. */
export function openApiDocument(service: string, version: string): Json {
  const paths: Record<string, Record<string, Json>> = {};
  for (const operation of [...OPERATIONS, ...TRANSPORT_OPERATIONS]) {
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
      schemas: {
        ...componentsOf('output', (name) => !REQUEST_SCHEMAS.has(name)),
        ...componentsOf('input', (name) => REQUEST_SCHEMAS.has(name)),
      },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        basic: { type: 'http', scheme: 'basic' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-Api-Key' },
      },
    },
  };
}
