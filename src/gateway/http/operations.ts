import { LEGACY_OPERATIONS } from './legacy-operations.ts';
import { INGEST_ERRORS, LIMIT, type Operation, type Parameter, SPIN } from './operation.ts';
import { STATS_LAST } from './tables.ts';

const ID: Parameter = {
  name: 'id',
  in: 'path',
  required: true,
  about: 'The 7-digit id, a prefixed id, the UUID, or a name that only one table bears (several: 400 with their ids).',
};
const KEY: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  about: 'Your own id of this event; the same again answers 200 and stores nothing. Single objects only.',
};

const ingest: readonly Operation[] = [
  {
    method: 'post',
    pattern: '/api/v1/numbers',
    group: 'Ingest',
    summary: 'Store one number, or up to 500',
    about:
      'Answered once a majority of the replica set has it. Without a key of yours, table, number and your own timestamp identify it; without those each post is a new number. After 503 or 504 repeat with the same key. An array is answered 207 with one result each, in order.',
    access: 'ingest',
    parameters: [KEY],
    body: ['NumberPost', 'NumberPosts'],
    example: SPIN,
    answers: { '200': 'Stored', '201': 'Stored', '207': 'StoredEach' },
    errors: INGEST_ERRORS,
  },
  {
    method: 'post',
    pattern: '/api/v1/strategies',
    group: 'Ingest',
    summary: 'Store one strategy state, or up to 500',
    access: 'ingest',
    parameters: [KEY],
    body: ['StrategyPost', 'StrategyPosts'],
    example: { roleta_id: '2010165', estado: 'TRIGGER', numero_gatilho: 7, terminais_gatilho: [4, 7, 8] },
    answers: { '200': 'Stored', '201': 'Stored', '207': 'StoredEach' },
    errors: INGEST_ERRORS,
  },
];

const tables: readonly Operation[] = [
  {
    method: 'get',
    pattern: '/api/v1/tables',
    group: 'Tables',
    summary: 'Every table with its last number and strategy',
    answers: { '200': 'TableList' },
    errors: [503],
  },
  {
    method: 'get',
    pattern: '/api/v1/tables/:id',
    group: 'Tables',
    summary: 'One table with its last numbers, and the position to subscribe from',
    parameters: [ID],
    answers: { '200': 'TableState' },
    errors: [400, 404, 503],
  },
  {
    method: 'get',
    pattern: '/api/v1/tables/:id/numbers',
    group: 'Tables',
    summary: 'The history of a table, newest first, page by page',
    parameters: [ID, LIMIT, { name: 'before', in: 'query', about: '`next` of the page before.' }],
    answers: { '200': 'NumbersPage' },
    errors: [400, 404, 429, 503],
  },
  {
    method: 'get',
    pattern: '/api/v1/tables/:id/strategy',
    group: 'Tables',
    summary: 'The strategy state of a table; null when it has none',
    parameters: [ID],
    answers: { '200': 'TableStrategy' },
    errors: [400, 404, 503],
  },
  {
    method: 'get',
    pattern: '/api/v1/tables/:id/stats',
    group: 'Tables',
    summary: 'Counts and longest absences over the last numbers of a table',
    parameters: [ID, { name: 'last', in: 'query', about: 'Over how many numbers.', integer: STATS_LAST }],
    answers: { '200': 'TableStats' },
    errors: [400, 404, 429, 503],
  },
];

const running: readonly Operation[] = [
  {
    method: 'get',
    pattern: '/healthz',
    group: 'Running it',
    summary: 'Whether the process answers',
    answers: { '200': 'Health' },
  },
  {
    method: 'get',
    pattern: '/readyz',
    group: 'Running it',
    summary: 'Whether clients may come, or why not (503)',
    answers: { '200': 'Readiness', '503': 'Readiness' },
  },
  {
    method: 'get',
    pattern: '/status',
    group: 'Running it',
    summary: 'What a person asks first; feed and process in detail for administrators',
    about: 'A page when Accept names text/html.',
    answers: { '200': 'Status' },
  },
  {
    method: 'get',
    pattern: '/metrics',
    group: 'Running it',
    summary: 'Metrics for Prometheus',
    access: 'admin',
    answers: { '200': null },
    errors: [401],
  },
  {
    method: 'get',
    pattern: '/openapi.json',
    group: 'Running it',
    summary: 'This description, for programs',
    answers: { '200': null },
  },
  {
    method: 'get',
    pattern: '/docs',
    group: 'Running it',
    summary: 'This description, for people',
    answers: { '200': null },
  },
];

const TOPICS: readonly Parameter[] = [
  {
    name: 'topics',
    in: 'query',
    required: true,
    about: 'Topics with commas between: `roulette:*`, `roulette:2010165`, `roulette:Roulette`.',
  },
  { name: 'after', in: 'query', about: '`epoch.position` of what was last received.' },
  { name: 'history', in: 'query', about: 'Numbers in a snapshot.', integer: { min: 0, max: 200, fallback: 20 } },
];

/** Served by the transports, described here with the rest; `/ws` is described by the protocol document. */
export const TRANSPORT_OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    pattern: '/events',
    group: 'Subscribers',
    summary: 'The frames of the WebSocket protocol as Server-Sent Events',
    parameters: [
      ...TOPICS,
      { name: 'Last-Event-ID', in: 'header', about: 'As `after`; browsers send it by themselves.' },
    ],
    answers: { '200': null },
    errors: [400, 401, 403, 404, 429, 503],
  },
  {
    method: 'get',
    pattern: '/poll',
    group: 'Subscribers',
    summary: 'The same by long-polling: an array of frames, and the position to ask with next',
    parameters: [...TOPICS, { name: 'wait', in: 'query', about: 'Seconds to wait for the first event.' }],
    answers: { '200': null },
    errors: [400, 401, 403, 404, 429, 503],
  },
];

/** Everything that the HTTP routes answer, files excepted. */
export const OPERATIONS: readonly Operation[] = [...ingest, ...tables, ...running, ...LEGACY_OPERATIONS];
