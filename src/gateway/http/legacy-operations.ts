import { INGEST_ERRORS, LIMIT, type Operation, SPIN } from './operation.ts';
import { PAGE } from './tables.ts';

/** The addresses of RunCash's first callers. */
export const LEGACY_OPERATIONS: readonly Operation[] = [
  {
    method: 'post',
    pattern: '/emit-event',
    group: 'Legacy',
    summary: 'A number or strategy as the first scrapers post it',
    access: 'ingest',
    body: ['EmitEventPost'],
    example: { event: 'new_number', data: SPIN },
    answers: { '200': 'LegacyEmitted' },
    errors: [400, 401, 403, 409, 413, 429],
    errorSchema: 'LegacyError',
  },
  {
    method: 'get',
    pattern: '/',
    group: 'Legacy',
    summary: 'The page when Accept names text/html, else this',
    answers: { '200': 'LegacyRoot' },
  },
  {
    method: 'get',
    pattern: '/socket-status',
    group: 'Legacy',
    summary: 'Whether MongoDB is connected',
    answers: { '200': 'LegacySocketStatus' },
  },
  {
    method: 'get',
    pattern: '/api/status',
    group: 'Legacy',
    summary: 'State and version',
    answers: { '200': 'LegacyStatus' },
  },
  ...['/api/roulettes', '/api/roletas'].map(
    (pattern): Operation => ({
      method: 'get',
      pattern,
      group: 'Legacy',
      summary: 'Ids and names of all tables',
      answers: { '200': 'LegacyTables' },
      errors: [503],
      errorSchema: 'LegacyError',
    }),
  ),
  {
    method: 'get',
    pattern: '/api/numbers',
    group: 'Legacy',
    summary: 'Number documents, newest first, filtered',
    parameters: [
      { name: 'limit', in: 'query', about: 'At most so many.', integer: { ...PAGE, fallback: 100 } },
      { name: 'skip', in: 'query', about: 'Leaves out so many.', integer: { min: 0, max: 100_000, fallback: 0 } },
      { name: 'roleta_id', in: 'query', about: 'Of this table.' },
      { name: 'roleta_nome', in: 'query', about: 'Of the tables of this name.' },
      { name: 'numero', in: 'query', about: 'This number, 0 included.' },
      { name: 'cor', in: 'query', about: 'This colour.' },
    ],
    answers: { '200': 'LegacyPage' },
    errors: [400, 429, 503],
    errorSchema: 'LegacyError',
  },
  {
    method: 'post',
    pattern: '/api/numbers',
    group: 'Legacy',
    summary: 'Store one number',
    access: 'ingest',
    body: ['NumberPost'],
    example: { roleta_nome: 'Roulette', roleta_id: '2010165', numero: 17 },
    answers: { '200': 'LegacyStored', '201': 'LegacyStored' },
    errors: INGEST_ERRORS,
    errorSchema: 'LegacyError',
  },
  ...['/api/numbers/:nome', '/api/numbers/byid/:id'].map(
    (pattern): Operation => ({
      method: 'get',
      pattern,
      group: 'Legacy',
      summary: pattern.endsWith(':id') ? 'Last numbers of a table' : 'Last numbers of the tables of a name',
      parameters: [
        { name: pattern.endsWith(':id') ? 'id' : 'nome', in: 'path', required: true, about: 'The table.' },
        LIMIT,
      ],
      answers: { '200': 'LegacyNumbers' },
      errors: [400, 429, 503],
      errorSchema: 'LegacyError',
    }),
  ),
];
