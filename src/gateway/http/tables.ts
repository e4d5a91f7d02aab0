import { ProtocolError } from '../../protocol/errors.ts';
import type { NumberItem } from '../../protocol/messages.ts';
import { tableReference } from '../../protocol/topic.ts';
import { statsOf, type TableStats } from '../../roulette/stats.ts';
import type { TableId } from '../../roulette/table.ts';
import { json } from './answer.ts';
import type { HttpDeps, TableDetail, TableOverview } from './deps.ts';
import type { Exchange } from './exchange.ts';
import { healthOf, needReady } from './health.ts';
import { gate } from './limits.ts';
import type { HttpOptions } from './options.ts';
import { integerParameter, need } from './query.ts';
import type { Route } from './router.ts';

type TablesDeps = Pick<
  HttpDeps,
  'tables' | 'table' | 'resolve' | 'numbersPage' | 'stats' | 'feedStatus' | 'databaseOk' | 'draining'
>;

/** Numbers of one page, and over how many numbers `/stats` counts. */
export const PAGE = { min: 1, max: 1000, fallback: 20 } as const;
export const STATS_LAST = { min: 1, max: 10_000, fallback: 200 } as const;

/** A cursor holds an `_id` that its writer chose; what is longer is none. */
const MAX_CURSOR = 2000;

/**
 * The one table that a reference means. Throws `unknown_table`; or `invalid` for a name that several tables bear, whose
 * ids the problem lists.
 */
function oneTable(deps: TablesDeps, reference: string): TableDetail {
  needReady(deps);
  const ids: readonly TableId[] = deps.resolve(tableReference(reference) ?? reference);
  const [id] = ids;
  if (id === undefined) throw new ProtocolError('unknown_table');
  if (ids.length > 1) {
    const message = `${ids.length} tables have this name: ${ids.join(', ')}; ask with one of these ids`;
    throw new ProtocolError('invalid', { problems: [{ path: 'id', message }] });
  }
  const state = deps.table(id);
  if (state === null) throw new ProtocolError('unknown_table');
  return state;
}

function cursorOf(query: URLSearchParams): string | null {
  const before = query.get('before');
  if (before === null || before === '') return null;
  if (before.length <= MAX_CURSOR) return before;
  throw new ProtocolError('invalid', { problems: [{ path: 'before', message: 'is no cursor of this service' }] });
}

/** The fields of the list, whatever else the state of a table holds. */
const overviewOf = ({ roleta_id, roleta_nome, uuid, ultimo, estrategia }: TableOverview): TableOverview => ({
  roleta_id,
  roleta_nome,
  uuid,
  ultimo,
  estrategia,
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
export function tableRoutes(deps: TablesDeps, options: HttpOptions): Route[] {
  const reads = gate(options.maxPendingReads, 'rate_limited');
  const table = (exchange: Exchange): TableDetail => oneTable(deps, exchange.params[0] ?? '');
  return [
    {
      pattern: '/api/v1/tables',
      get: () => {
        needReady(deps);
        return json(200, { tables: deps.tables().map(overviewOf), stale: !healthOf(deps).live });
      },
    },
    { pattern: '/api/v1/tables/:id', get: (exchange) => json(200, table(exchange)) },
    {
      pattern: '/api/v1/tables/:id/numbers',
      get: async (exchange) => {
        const state = table(exchange);
        const limit = need(integerParameter(exchange.query, 'limit', PAGE));
        const before = cursorOf(exchange.query);
        const page = await reads.run(1, () => deps.numbersPage(state.roleta_id, limit, before));
        return json(200, { ...namesOf(state), numeros: page.numeros, next: page.next });
      },
    },
    {
      pattern: '/api/v1/tables/:id/strategy',
      get: (exchange) => {
        const state = table(exchange);
        return json(200, { ...namesOf(state), estrategia: state.estrategia, stale: state.stale });
      },
    },
    {
      pattern: '/api/v1/tables/:id/stats',
      get: async (exchange) => {
        const state = table(exchange);
        const last = need(integerParameter(exchange.query, 'last', STATS_LAST));
        const recent = state.numeros.length < last ? null : recentStats(state.numeros.slice(0, last));
        const stats = recent ?? (await reads.run(1, () => deps.stats(state.roleta_id, last)));
        return json(200, { ...namesOf(state), ...stats });
      },
    },
  ];
}
