import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { describedIn, nameOf, openApiPath } from '../../../src/gateway/http/openapi.ts';
import { PROBLEM } from '../../../src/gateway/http/schemas.ts';
import { allRoutes, type HttpApp, startHttpApp } from '../../support/http-app.ts';
import { referencesIn } from '../../support/references.ts';

const ROUTES = allRoutes();
const OPERATIONS = describedIn(ROUTES);
/** Every schema that an operation names, by its name. */
const SCHEMAS = new Map(
  OPERATIONS.flatMap(({ answers, errorSchema = PROBLEM }) => [...Object.values(answers), errorSchema])
    .filter((schema) => schema !== null)
    .map((schema) => [nameOf(schema), schema]),
);

let app: HttpApp;
beforeAll(async () => {
  app = await startHttpApp();
});
afterAll(() => app.stop());

const documentShape = z.looseObject({
  openapi: z.literal('3.1.0'),
  paths: z.record(z.string(), z.record(z.string(), z.looseObject({ responses: z.record(z.string(), z.unknown()) }))),
  components: z.looseObject({ schemas: z.record(z.string(), z.unknown()) }),
});

const read = async () => documentShape.parse(await (await fetch(`${app.url}/openapi.json`)).json());

describe('/openapi.json', () => {
  it('describes every route and method that exists, and no other', async () => {
    const registered = ROUTES.flatMap(({ pattern, get, post }) => [
      ...(get === undefined ? [] : [`get ${pattern}`]),
      ...(post === undefined ? [] : [`post ${pattern}`]),
    ]);
    expect(OPERATIONS.map(({ method, pattern }) => `${method} ${pattern}`).sort()).toEqual(registered.sort());
    const { paths } = await read();
    for (const { method, pattern } of OPERATIONS) expect(paths[openApiPath(pattern)]).toHaveProperty(method);
    expect(paths).toHaveProperty('/events');
    expect(paths).toHaveProperty('/poll');
  });

  it('refers only to schemas that it has, and names every path parameter', async () => {
    const document = await read();
    const known = new Set(Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`));
    const used = referencesIn(document);
    expect(used.length).toBeGreaterThan(50);
    expect(used.filter((reference) => !known.has(reference))).toEqual([]);
    for (const { pattern, parameters = [] } of OPERATIONS) {
      const inPath = [...pattern.matchAll(/:(\w+)/g)].map(([, name]) => name);
      expect(parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name)).toEqual(inPath);
    }
  });

  it('gives each operation an id of its own', async () => {
    const { paths } = await read();
    const ids = Object.values(paths).flatMap((methods) =>
      Object.values(methods).map((operation) => operation['operationId']),
    );
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('shows of a request what may be sent', async () => {
    const { components } = await read();
    expect(components.schemas['NumberPost']).toMatchObject({
      type: 'object',
      required: ['numero'],
      properties: { numero: { type: ['number', 'string'] } },
    });
  });
});

describe('real answers', () => {
  const check = async (name: string, path: string, init?: RequestInit) => {
    const response = await fetch(app.url + path, init);
    const answer: unknown = await response.json();
    expect(SCHEMAS.get(name)?.safeParse(answer).error?.issues ?? SCHEMAS.has(name)).toEqual(true);
  };
  const post = (body: unknown): RequestInit => ({
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
  const SPIN = { roleta_id: '2010017', numero: 1 };

  it.each<[string, string, RequestInit?]>([
    ['TableList', '/api/v1/tables'],
    ['TableState', '/api/v1/tables/2010017'],
    ['NumbersPage', '/api/v1/tables/2010017/numbers?limit=2'],
    ['StrategiesPage', '/api/v1/tables/2010017/strategies'],
    ['TableStrategy', '/api/v1/tables/2010017/strategy'],
    ['TableStats', '/api/v1/tables/2010017/stats'],
    ['Problem', '/api/v1/tables/nobody'],
    ['Problem', '/api/v1/tables/2010017/numbers?limit=x'],
    ['Problem', '/nothing'],
    ['Stored', '/api/v1/numbers', post(SPIN)],
    ['StoredEach', '/api/v1/numbers', post([SPIN, { numero: 99 }])],
    ['Stored', '/api/v1/strategies', post({ ...SPIN, estado: 'NEUTRAL' })],
    ['Problem', '/api/v1/strategies', post(SPIN)],
    ['LegacyEmitted', '/emit-event', post({ event: 'new_number', data: SPIN })],
    ['LegacyError', '/emit-event', post({})],
    ['LegacyStored', '/api/numbers', post(SPIN)],
    ['LegacyError', '/api/numbers', post({})],
    ['LegacyPage', '/api/numbers'],
    ['LegacyNumbers', '/api/numbers/VIP%20Roulette'],
    ['LegacyNumbers', '/api/numbers/byid/2010017'],
    ['LegacyTables', '/api/roulettes'],
    ['LegacyTables', '/api/roletas'],
    ['LegacyHistorical', '/api/historical/all-roulettes'],
    ['LegacyRoot', '/'],
    ['LegacySocketStatus', '/socket-status'],
    ['LegacyStatus', '/api/status'],
    ['Health', '/healthz'],
    ['Readiness', '/readyz'],
    ['Readiness', '/readyz/source'],
    ['Status', '/status'],
  ])('have the shape %s at %s', check);

  it('to every example of the description are successes', async () => {
    for (const { pattern, example } of OPERATIONS) {
      if (example === undefined) continue;
      const response = await fetch(app.url + pattern, post(example));
      expect([pattern, response.ok]).toEqual([pattern, true]);
    }
  });
});

describe('/docs', () => {
  it('names every operation, without scripts and without other hosts', async () => {
    const response = await fetch(`${app.url}/docs`);
    const html = await response.text();
    for (const { pattern } of OPERATIONS) expect(html).toContain(openApiPath(pattern));
    expect(html).not.toMatch(/<script|https?:\/\/(?!json-schema)/);
    expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-/);
  });
});
