import { json } from './answer.ts';
import { escapeHtml, htmlPage } from './html.ts';
import { openApiDocument, openApiPath } from './openapi.ts';
import type { Operation, Parameter } from './operation.ts';
import { OPERATIONS, TRANSPORT_OPERATIONS } from './operations.ts';
import type { HttpOptions } from './options.ts';
import type { Route } from './router.ts';

const ACCESS = {
  ingest:
    'Needs an ingest key (Bearer, Basic or X-Api-Key), or comes from the server’s own machine where no keys are set.',
  admin: 'Needs the admin key, or comes from the server’s own machine.',
} as const;

function parameterRow({ name, in: place, about, required, integer }: Parameter): string {
  const bounds = integer === undefined ? '' : ` ${integer.min} to ${integer.max}, default ${integer.fallback}.`;
  const need = required === true ? ', required' : '';
  return `<tr><td><code>${escapeHtml(name)}</code></td><td>${place}${need}</td><td>${escapeHtml(about + bounds)}</td></tr>`;
}

function answerRows(operation: Operation): string {
  const good = Object.entries(operation.answers).map(([status, name]) => `${status} ${name ?? 'text'}`);
  const bad = (operation.errors ?? []).map((status) => `${status} ${operation.errorSchema ?? 'Problem'}`);
  return [...good, ...bad].map(escapeHtml).join(' · ');
}

function section(operation: Operation): string {
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
function docsBody(document: Readonly<Record<string, unknown>>): string {
  const operations = [...OPERATIONS, ...TRANSPORT_OPERATIONS];
  const groups = [...new Set(operations.map(({ group }) => group))].map((group) => {
    const sections = operations.filter((operation) => operation.group === group).map(section);
    return `<h2>${escapeHtml(group)}</h2>${sections.join('')}`;
  });
  const { schemas } = Object(document['components']);
  const shapes = Object.entries(Object(schemas)).map(
    ([name, schema]) =>
      `<details><summary>${escapeHtml(name)}</summary><pre>${escapeHtml(JSON.stringify(schema, null, 2))}</pre></details>`,
  );
  const lead = 'For programs: <a href="/openapi.json">openapi.json</a>. Subscribers connect to <code>/ws</code>.';
  return `<p>${lead}</p>${groups.join('')}<h2>Schemas</h2>${shapes.join('')}`;
}

/** `/openapi.json`, and `/docs` to read it. Both are made once. */
export function docsRoutes(options: HttpOptions): Route[] {
  const document = openApiDocument(options.service, options.version);
  const page = htmlPage(200, `${options.service}: HTTP API`, docsBody(document));
  const cacheable = { 'Cache-Control': 'public, max-age=300' };
  const description = json(200, document, cacheable);
  return [
    { pattern: '/openapi.json', get: () => description },
    { pattern: '/docs', get: () => ({ ...page, headers: { ...page.headers, ...cacheable } }) },
  ];
}
