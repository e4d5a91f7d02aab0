import { ProtocolError } from '../../protocol/errors.ts';
import type { NumberItem } from '../../protocol/messages.ts';
import { tableReference } from '../../protocol/topic.ts';
import { statsOf, type TableStats } from '../../roulette/stats.ts';
import type { TableId } from '../../roulette/table.ts';
import { json, jsonText } from '../door/answer.ts';
import type { Exchange } from '../door/exchange.ts';
import { keptForItsCost } from '../door/kept.ts';
import { readGate } from '../door/limits.ts';
import type { HttpDeps, TableDetail, TableOverview } from './deps.ts';
import { healthOf, needReady } from './health.ts';
import type { HttpOptions } from './options.ts';
import { integerParameter, need } from './query.ts';
import type { Operation, Parameter, Respond, Route } from './route.ts';
import { NUMBERS_PAGE, TABLE_LIST, TABLE_STATE, TABLE_STATS, TABLE_STRATEGY } from './schemas.ts';
import type { Reads, View } from './view.ts';

type TablesDeps = Pick<HttpDeps, 'numbersPage' | 'stats' | 'feedStatus' | 'databaseOk' | 'draining'>;

/** Numbers of one page, and over how many numbers `/stats` counts. */
export const PAGE = { min: 1, max: 1000, fallback: 20 } as const;
export const STATS_LAST = { min: 1, max: 10_000, fallback: 200 } as const;

const ID: Parameter = {
  name: 'id',
  in: 'path',
  required: true,
  about: 'The id, a prefixed id, the UUID, or a name that only one table bears (several: 400 with their ids).',
};

/** How many numbers a page holds. */
export const LIMIT: Parameter = { name: 'limit', in: 'query', about: 'How many numbers.', integer: PAGE };

const OPERATIONS = {
  list: {
    group: 'Tables',
    access: 'tables',
    summary: 'Every table with its last number and strategy',
    answers: { '200': TABLE_LIST },
    errors: [503],
  },
  state: {
    group: 'Tables',
    access: 'tables',
    summary: 'One table with its last numbers, and the position to subscribe from',
    parameters: [ID],
    answers: { '200': TABLE_STATE },
    errors: [400, 404, 503],
  },
  numbers: {
    group: 'Tables',
    access: 'tables',
    summary: 'The history of a table, newest first, page by page',
    parameters: [ID, LIMIT, { name: 'before', in: 'query', about: '`next` of the page before.' }],
    answers: { '200': NUMBERS_PAGE },
    errors: [400, 404, 429, 503],
  },
  strategy: {
    group: 'Tables',
    access: 'tables',
    summary: 'The strategy state of a table; null when it has none',
    parameters: [ID],
    answers: { '200': TABLE_STRATEGY },
    errors: [400, 404, 503],
  },
  stats: {
    group: 'Tables',
    access: 'tables',
    summary: 'Counts and longest absences over the last numbers of a table',
    parameters: [ID, { name: 'last', in: 'query', about: 'Over how many numbers.', integer: STATS_LAST }],
    answers: { '200': TABLE_STATS },
    errors: [400, 404, 429, 503],
  },
} as const satisfies Record<string, Operation>;

/** A cursor holds an `_id` that its writer chose; what is longer is none. */
const MAX_CURSOR = 2000;

/**
 * The one table that a reference means. Throws `unknown_table`; or `invalid` for a name that several tables bear, whose
 * ids the problem lists.
 */
function oneTable(view: View, reference: string): TableDetail {
  const ids: readonly TableId[] = view.resolve(tableReference(reference) ?? reference);
  const [id] = ids;
  if (id === undefined) throw unknownTable(view);
  if (ids.length > 1) {
    const message = `${ids.length} tables have this name: ${ids.join(', ')}; ask with one of these ids`;
    throw new ProtocolError('invalid', { problems: [{ path: 'id', message }] });
  }
  const state = view.table(id);
  if (state === null) throw unknownTable(view);
  return state;
}

/** One answer for a table that is not there and for one that the caller may not see. */
const unknownTable = ({ allowed }: View): ProtocolError =>
  new ProtocolError(
    'unknown_table',
    allowed === null ? {} : { message: 'No table that this token may see has this id, name or UUID.' },
  );

function cursorOf(query: URLSearchParams): string | null {
  const before = query.get('before');
  if (before === null || before === '') return null;
  if (before.length <= MAX_CURSOR) return before;
  throw new ProtocolError('invalid', { problems: [{ path: 'before', message: 'is no cursor of this service' }] });
}

/** The fields of the list, whatever else the state of a table holds. */
const overviewOf = ({ roleta_id, roleta_nome, uuid, ultimo, estrategia, ...rest }: TableOverview): TableOverview => ({
  roleta_id,
  roleta_nome,
  uuid,
  ultimo,
  estrategia,
  ...(rest.duplo_zero === undefined ? {} : { duplo_zero: rest.duplo_zero }),
});

const namesOf = ({ roleta_id, roleta_nome }: TableDetail) => ({ roleta_id, roleta_nome });

/** Statistics over numbers that are in memory: also while the database is away. */
const recentStats = (newestFirst: readonly NumberItem[]): TableStats =>
  statsOf(
    newestFirst.map(({ numero }) => numero),
    newestFirst[0]?.timestamp ?? null,
    newestFirst.at(-1)?.timestamp ?? null,
  );

/** `GET /api/v1/tables` and what hangs below it. `:id` is an id in any spelling, a UUID, or a name of one table. */
export function tableRoutes(deps: TablesDeps, reads: Reads, options: HttpOptions): Route[] {
  const pending = readGate(options.maxPendingReads);
  const list = (tables: readonly TableOverview[]): string =>
    JSON.stringify({ tables: tables.map(overviewOf), stale: !healthOf(deps).live });
  const wholeList = keptForItsCost((view: View) => list(view.tables()));
  const ofTable = (respond: (table: TableDetail, exchange: Exchange) => ReturnType<Respond>): Respond =>
    reads((view, exchange) => {
      needReady(deps);
      return respond(oneTable(view, exchange.params[0] ?? ''), exchange);
    });
  return [
    {
      pattern: '/api/v1/tables',
      operations: { get: OPERATIONS.list },
      get: reads((view) => {
        needReady(deps);
        // What everybody may see is the same for everybody, and encoded once for as long as that took.
        return jsonText(200, view.allowed === null ? wholeList(view) : list(view.tables()));
      }),
    },
    {
      pattern: '/api/v1/tables/:id',
      operations: { get: OPERATIONS.state },
      get: ofTable((state) => json(200, state)),
    },
    {
      pattern: '/api/v1/tables/:id/numbers',
      operations: { get: OPERATIONS.numbers },
      get: ofTable(async (state, exchange) => {
        const limit = need(integerParameter(exchange.query, 'limit', PAGE));
        const before = cursorOf(exchange.query);
        const page = await pending.run(exchange.visitor.key, 1, () => deps.numbersPage(state.roleta_id, limit, before));
        return json(200, { ...namesOf(state), numeros: page.numeros, next: page.next });
      }),
    },
    {
      pattern: '/api/v1/tables/:id/strategy',
      operations: { get: OPERATIONS.strategy },
      get: ofTable((state) => json(200, { ...namesOf(state), estrategia: state.estrategia, stale: state.stale })),
    },
    {
      pattern: '/api/v1/tables/:id/stats',
      operations: { get: OPERATIONS.stats },
      get: ofTable(async (state, exchange) => {
        const last = need(integerParameter(exchange.query, 'last', STATS_LAST));
        const recent = state.numeros.length < last ? null : recentStats(state.numeros.slice(0, last));
        const stats = recent ?? (await pending.run(exchange.visitor.key, 1, () => deps.stats(state.roleta_id, last)));
        return json(200, { ...namesOf(state), ...stats });
      }),
    },
  ];
}
