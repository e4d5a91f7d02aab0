import { asyncApiDocument, protocolSchema } from '../../protocol/asyncapi.ts';
import { json, withHeaders } from '../door/answer.ts';
import { escapeHtml, htmlPage } from './html.ts';
import { type Described, describedIn, nameOf, openApiDocument, openApiPath } from './openapi.ts';
import type { HttpOptions } from './options.ts';
import { GROUPS, type Parameter, type Route } from './route.ts';
import { PROBLEM } from './schemas.ts';

const ACCESS = {
  ingest:
    'Needs an ingest key (Bearer, Basic or X-Api-Key), or comes from the server’s own machine where no keys are set.',
  admin: 'Needs the admin key; where none is set, it comes from the server’s own machine.',
  tables: 'With AUTH=jwt: needs a subscriber’s token (Bearer or ?token=), and shows the tables that it names.',
} as const;

function parameterRow({ name, in: place, about, required, integer }: Parameter): string {
  const bounds = integer === undefined ? '' : ` ${integer.min} to ${integer.max}, default ${integer.fallback}.`;
  const need = required === true ? ', required' : '';
  return `<tr><td><code>${escapeHtml(name)}</code></td><td>${place}${need}</td><td>${escapeHtml(about + bounds)}</td></tr>`;
}

function answerRows({ answers, formats = [], errors = [], errorSchema = PROBLEM }: Described): string {
  const good = Object.entries(answers).map(([status, schema]) =>
    [status, schema === null ? 'text' : nameOf(schema), ...formats].join(' '),
  );
  const bad = errors.map((status) => `${status} ${nameOf(errorSchema)}`);
  return [...good, ...bad].map(escapeHtml).join(' · ');
}

function section(operation: Described): string {
  const { parameters = [], example, access, about } = operation;
  const title = `${operation.method.toUpperCase()} ${openApiPath(operation.pattern)}`;
  return [
    `<details><summary><code>${escapeHtml(title)}</code> – ${escapeHtml(operation.summary)}</summary>`,
    about === undefined ? '' : `<p>${escapeHtml(about)}</p>`,
    access === undefined ? '' : `<p>${escapeHtml(ACCESS[access])}</p>`,
    parameters.length === 0 ? '' : `<table>${parameters.map(parameterRow).join('')}</table>`,
    example === undefined ? '' : `<pre>${escapeHtml(JSON.stringify(example, null, 2))}</pre>`,
    `<p>${answerRows(operation)}</p></details>`,
  ].join('');
}

/** The body of `/docs`: every operation by group, then every schema. No scripts. */
function docsBody(document: Readonly<Record<string, unknown>>, routes: readonly Route[]): string {
  const operations = describedIn(routes);
  const groups = GROUPS.map((group) => {
    const sections = operations.filter((operation) => operation.group === group).map(section);
    return `<h2>${escapeHtml(group)}</h2>${sections.join('')}`;
  });
  const { schemas } = Object(document['components']);
  const shapes = Object.entries(Object(schemas)).map(
    ([name, schema]) =>
      `<details><summary>${escapeHtml(name)}</summary><pre>${escapeHtml(JSON.stringify(schema, null, 2))}</pre></details>`,
  );
  const lead = `For programs: <a href="/openapi.json">openapi.json</a>. Subscribers connect to <code>/ws</code>: <a
    href="/asyncapi.json">asyncapi.json</a>, <a href="/protocol.schema.json">protocol.schema.json</a>.`;
  return `<p>${lead}</p>${groups.join('')}<h2>Schemas</h2>${shapes.join('')}`;
}

/**
 * `/openapi.json`, and `/docs` to read it, for these routes and themselves; `/asyncapi.json` and `/protocol.schema.json`
 * for the WebSocket. All are made when first asked for.
 */
export function docsRoutes(options: HttpOptions, others: readonly Route[]): Route[] {
  const cacheable = { 'Cache-Control': 'public, max-age=300' };
  const make = once(() => {
    const routes = [...others, ...own];
    const document = openApiDocument(options.service, options.version, routes);
    const page = htmlPage(200, `${options.service}: HTTP API`, docsBody(document, routes));
    return { description: json(200, document, cacheable), page: withHeaders(page, cacheable) };
  });
  const messages = once(() => json(200, asyncApiDocument(options.service, options.version), cacheable));
  const schema = once(() => json(200, protocolSchema(), cacheable));
  const about = (summary: string) => ({
    get: { group: 'Running it' as const, summary, answers: { '200': null } },
  });
  const own: Route[] = [
    {
      pattern: '/openapi.json',
      operations: about('This description, for programs'),
      get: () => make().description,
    },
    {
      pattern: '/asyncapi.json',
      operations: about('The messages of the WebSocket, AsyncAPI 3'),
      get: messages,
    },
    {
      pattern: '/protocol.schema.json',
      operations: about('The same messages as one JSON Schema'),
      get: schema,
    },
    {
      pattern: '/docs',
      operations: about('This description, for people'),
      get: () => make().page,
    },
  ];
  return own;
}

/** Makes a value when it is first asked for, and keeps it. */
function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
