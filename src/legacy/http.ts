import { z } from 'zod';
import { type Answer, errorHeaders, errorMembers, json, jsonText } from '../gateway/door/answer.ts';
import { type Exchange, jsonBodyOf } from '../gateway/door/exchange.ts';
import { inTurns, keptForItsCost } from '../gateway/door/kept.ts';
import { readGate } from '../gateway/door/limits.ts';
import { pageOr } from '../gateway/http/files.ts';
import { healthOf, needReady } from '../gateway/http/health.ts';
import { integerParameter, need } from '../gateway/http/query.ts';
import { INGEST_ERRORS, type Operation, type Parameter, type Route } from '../gateway/http/route.ts';
import type { RouteTools } from '../gateway/http/routes.ts';
import { NUMBER_POST, named } from '../gateway/http/schemas.ts';
import type { View } from '../gateway/http/view.ts';
import { ERRORS, type Problem, ProtocolError } from '../protocol/errors.ts';
import { cor, tableId, tableNames, time, wheelNumber } from '../protocol/message-schemas.ts';
import type { Cor } from '../protocol/messages.ts';
import type { LegacyNumber, LegacyQuery } from '../roulette/history.ts';
import { parseNumberPost } from '../roulette/ingest.ts';
import type { TableId } from '../roulette/table.ts';
import { type EmitEventDeps, type EmitEventOptions, emitEventRoute, LEGACY_ERROR } from './emit-event.ts';
import { type Roulette, rouletteOf } from './payloads.ts';

/** Numbers of each table; as many as are held in memory. */
const HISTORY = 200;

/** Tables that are encoded in one turn of the event loop: a millisecond or two. */
const PER_TURN = 20;

const ROULETTE = z.strictObject({
  id: tableId,
  nome: z.string(),
  provider: z.string(),
  status: z.enum(['online', 'offline']),
  numeros: z.array(wheelNumber),
  ultimoNumero: wheelNumber.nullable(),
  timestamp: time.nullable(),
}) satisfies z.ZodType<Roulette>;

const HISTORICAL: Operation = {
  group: 'Legacy',
  access: 'tables',
  summary: 'Every table with its last 200 numbers',
  answers: {
    '200': named('LegacyHistorical', z.strictObject({ success: z.literal(true), data: z.array(ROULETTE) })),
  },
  errors: [503],
  errorSchema: LEGACY_ERROR,
};

/** `GET /api/historical/all-roulettes`, which RunCash's later clients ask once. */
function historicalRoute({ deps, reads }: Pick<RouteTools, 'deps' | 'reads'>): Route {
  function* textsOf(view: View): Generator<string, void> {
    for (const { roleta_id } of view.tables()) {
      const table = view.table(roleta_id);
      if (table !== null) yield JSON.stringify(rouletteOf(table, HISTORY));
    }
  }
  const all = async (view: View): Promise<Uint8Array> =>
    Buffer.from(`{"success":true,"data":[${(await inTurns(textsOf(view), PER_TURN)).join(',')}]}`);
  const forEverybody = keptForItsCost(all);
  return {
    pattern: '/api/historical/all-roulettes',
    operations: { get: HISTORICAL },
    get: reads(async (view) => {
      needReady(deps);
      return jsonText(200, await (view.allowed === null ? forEverybody(view) : all(view)));
    }),
  };
}

/** What these routes ask of the store, beside what all HTTP routes are handed. */
export interface LegacyHttpDeps extends EmitEventDeps {
  legacyNumbers(query: LegacyQuery): Promise<{ readonly total: number; readonly data: readonly LegacyNumber[] }>;
}

const MOOD = z.enum(['online', 'degraded']);
const LEGACY_NUMBER = z.strictObject({
  _id: z.string(),
  ...tableNames,
  numero: wheelNumber,
  cor,
  timestamp: time,
  criado_em: time.nullable(),
}) satisfies z.ZodType<LegacyNumber>;
const LEGACY_NUMBERS = named('LegacyNumbers', z.array(LEGACY_NUMBER));

const ROOT: Operation = {
  group: 'Legacy',
  summary: 'The page when Accept names text/html, else this',
  answers: {
    '200': named('LegacyRoot', z.strictObject({ status: MOOD, service: z.string(), timestamp: time })),
  },
};

const SOCKET_STATUS: Operation = {
  group: 'Legacy',
  summary: 'Whether MongoDB is connected',
  answers: {
    '200': named(
      'LegacySocketStatus',
      z.strictObject({ status: z.literal('online'), mongoConnected: z.boolean(), timestamp: time }),
    ),
  },
};

const STATUS: Operation = {
  group: 'Legacy',
  summary: 'State and version',
  answers: {
    '200': named('LegacyStatus', z.strictObject({ status: MOOD, mongodb_connected: z.boolean(), version: z.string() })),
  },
};

const TABLES: Operation = {
  group: 'Legacy',
  access: 'tables',
  summary: 'Ids and names of all tables',
  answers: { '200': named('LegacyTables', z.array(z.strictObject({ id: tableId, nome: z.string() }))) },
  errors: [503],
  errorSchema: LEGACY_ERROR,
};

/** Numbers of one answer. */
const PAGE = { min: 1, max: 1000, fallback: 20 } as const;
const LIMIT: Parameter = { name: 'limit', in: 'query', about: 'How many numbers.', integer: PAGE };

/** A skip walks over what it skips; who needs more asks version 1 with its cursor. */
const SKIP = { min: 0, max: 100_000, fallback: 0 } as const;

const SEARCH: Operation = {
  group: 'Legacy',
  access: 'tables',
  summary: 'Number documents, newest first, filtered',
  parameters: [
    { name: 'limit', in: 'query', about: 'At most so many.', integer: { ...PAGE, fallback: 100 } },
    { name: 'skip', in: 'query', about: 'Leaves out so many.', integer: SKIP },
    { name: 'roleta_id', in: 'query', about: 'Of this table.' },
    { name: 'roleta_nome', in: 'query', about: 'Of the tables of this name.' },
    { name: 'numero', in: 'query', about: 'This number, 0 included.' },
    { name: 'cor', in: 'query', about: 'This colour.' },
  ],
  answers: {
    '200': named(
      'LegacyPage',
      z.strictObject({
        total: z.number().int(),
        skip: z.number().int(),
        limit: z.number().int(),
        data: LEGACY_NUMBERS,
      }),
    ),
  },
  errors: [400, 429, 503],
  errorSchema: LEGACY_ERROR,
};

const LEGACY_STORED = named(
  'LegacyStored',
  z.strictObject({ success: z.literal(true), message: z.string(), id: z.string() }),
);

const INSERT: Operation = {
  group: 'Legacy',
  summary: 'Store one number',
  access: 'ingest',
  body: [NUMBER_POST],
  example: { roleta_nome: 'Roulette', roleta_id: '2010165', numero: 17 },
  answers: { '200': LEGACY_STORED, '201': LEGACY_STORED },
  errors: INGEST_ERRORS,
  errorSchema: LEGACY_ERROR,
};

const newestOf = (parameter: 'id' | 'nome', summary: string): Operation => ({
  group: 'Legacy',
  access: 'tables',
  summary,
  parameters: [{ name: parameter, in: 'path', required: true, about: 'The table.' }, LIMIT],
  answers: { '200': LEGACY_NUMBERS },
  errors: [400, 429, 503],
  errorSchema: LEGACY_ERROR,
});

const COLOURS: readonly Cor[] = ['verde', 'vermelho', 'preto'];
const EVERYTHING = { tables: null, numero: null, cor: null, skip: 0 } as const;

const limitOf = (query: URLSearchParams, fallback: number): number =>
  need(integerParameter(query, 'limit', { ...PAGE, fallback }));

const problem = (path: string, message: string): ProtocolError => {
  const problems: readonly Problem[] = [{ path, message }];
  return new ProtocolError('invalid', { problems });
};

/** `numero=0` is a filter; only an absent or empty one is none. */
function numeroOf(query: URLSearchParams): number | null {
  const text = query.get('numero');
  if (text === null || text === '') return null;
  return need(integerParameter(query, 'numero', { min: 0, max: 36, fallback: 0 }));
}

function corOf(query: URLSearchParams): Cor | null {
  const text = (query.get('cor') ?? '').trim().toLowerCase();
  if (text === '') return null;
  const cor = COLOURS.find((colour) => colour === text);
  if (cor === undefined) throw problem('cor', `must be one of ${COLOURS.join(', ')}`);
  return cor;
}

/** How the first callers read: lists of tables, last numbers, a search. */
function legacyReads(own: LegacyHttpDeps, { deps, reads, options }: RouteTools) {
  const pending = readGate(options.maxPendingReads);
  const query = ({ visitor }: Exchange, asked: LegacyQuery) =>
    pending.run(visitor.key, 1, () => own.legacyNumbers(asked));

  const tablesOf = (view: View, parameters: URLSearchParams): readonly TableId[] | null => {
    const references = [parameters.get('roleta_id'), parameters.get('roleta_nome')];
    const given = references.filter((reference) => reference !== null && reference !== '');
    const [first, second] = given.map((reference) => view.resolve(reference ?? ''));
    if (first === undefined) return view.allowed;
    return second === undefined ? first : first.filter((id) => second.includes(id));
  };

  return {
    /** Newest first; a name stands for every table that bears it, and an unknown one for none. */
    newest: reads(async (view, exchange) => {
      needReady(deps);
      const tables = view.resolve(exchange.params[0] ?? '');
      const limit = limitOf(exchange.query, 20);
      if (tables.length === 0) return json(200, []);
      const { data } = await query(exchange, { ...EVERYTHING, tables, limit });
      return json(200, data);
    }),

    list: reads((view) => {
      needReady(deps);
      return json(
        200,
        view.tables().map(({ roleta_id, roleta_nome }) => ({ id: roleta_id, nome: roleta_nome })),
      );
    }),

    search: reads(async (view, exchange) => {
      const parameters = exchange.query;
      needReady(deps);
      const limit = limitOf(parameters, 100);
      const skip = need(integerParameter(parameters, 'skip', SKIP));
      const tables = tablesOf(view, parameters);
      const filter = { tables, numero: numeroOf(parameters), cor: corOf(parameters), limit, skip };
      const { total, data } = tables?.length === 0 ? { total: 0, data: [] } : await query(exchange, filter);
      return json(200, { total, skip, limit, data });
    }),
  };
}

/** How the first callers store one number. */
const legacyInsert =
  ({ writers }: RouteTools) =>
  async (exchange: Exchange): Promise<Answer> => {
    const { caller, body, context } = await writers.receive('number', exchange, '/api/numbers', jsonBodyOf);
    if (Array.isArray(body)) throw problem('', 'must be an object; arrays go to /api/v1/numbers');
    const post = writers.read('number', caller, () => parseNumberPost(body, context));
    if (post.kind !== 'single') throw problem('', 'must be an object');
    const [result] = await writers.numbers(caller, [post.item]);
    if (result === undefined) throw new Error('no result for one item');
    if (result.status === 'error') throw result.error;
    const [status, message] = result.status === 'created' ? [201, 'Número inserido'] : [200, 'Número já inserido'];
    return json(status, { success: true, message: `${message} com sucesso`, id: result.id });
  };

/** The addresses that RunCash's first callers use, with their exact shapes. New callers use `/api/v1`. */
export const legacyRoutes =
  (own: LegacyHttpDeps, emitEvent: EmitEventOptions) =>
  (tools: RouteTools): Route[] => {
    const { deps, options } = tools;
    const { newest, list, search } = legacyReads(own, tools);
    const insert = legacyInsert(tools);

    /** What the first server always called `online`, whether it was or not. */
    const status = (): string => (healthOf(deps).live ? 'online' : 'degraded');
    const root = (): Answer => json(200, { status: status(), service: options.service, ...now() });

    return [
      emitEventRoute(own, tools, emitEvent),
      { pattern: '/', operations: { get: ROOT }, get: pageOr(deps.files.get('/'), options.pageServers, root) },
      { pattern: '/api/roulettes', operations: { get: TABLES }, get: list, fail: legacyFailure },
      { pattern: '/api/roletas', operations: { get: TABLES }, get: list, fail: legacyFailure },
      { ...historicalRoute(tools), fail: legacyFailure },
      {
        pattern: '/api/numbers',
        atRest: ['get', 'post'],
        operations: { get: SEARCH, post: INSERT },
        get: search,
        post: insert,
        fail: legacyFailure,
      },
      {
        pattern: '/api/numbers/byid/:id',
        atRest: ['get'],
        operations: { get: newestOf('id', 'Last numbers of a table') },
        get: newest,
        fail: legacyFailure,
      },
      {
        pattern: '/api/numbers/:nome',
        atRest: ['get'],
        operations: { get: newestOf('nome', 'Last numbers of the tables of a name') },
        get: newest,
        fail: legacyFailure,
      },
      {
        pattern: '/socket-status',
        operations: { get: SOCKET_STATUS },
        get: () => json(200, { status: 'online', mongoConnected: deps.databaseOk(), ...now() }),
      },
      {
        pattern: '/api/status',
        operations: { get: STATUS },
        get: () => json(200, { status: status(), mongodb_connected: deps.databaseOk(), version: options.version }),
      },
    ];
  };

const now = () => ({ timestamp: new Date().toISOString() });

/** First servers answered errors with one sentence under `error`; the members of version 1 are beside it. */
function legacyFailure(error: ProtocolError): Answer {
  return json(ERRORS[error.code].status, { error: error.message, ...errorMembers(error) }, errorHeaders(error));
}
