import { cellsOf, csvLine } from '../../protocol/csv.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import type { NumberItem } from '../../protocol/messages.ts';
import type { HistoryRange, TableHistory } from '../../roulette/history.ts';
import { statsOf, type TableStats } from '../../roulette/stats.ts';
import { type Answer, json } from '../door/answer.ts';
import { acceptNames } from '../door/arrival.ts';
import type { Exchange } from '../door/exchange.ts';
import { readGate, type SharedGate, sharedGate } from '../door/limits.ts';
import type { HttpDeps, TableDetail } from './deps.ts';
import { ID, namesOf, ofTable } from './one-table.ts';
import type { HttpOptions } from './options.ts';
import { instantParameter, integerParameter, need } from './query.ts';
import type { Operation, Parameter, Route } from './route.ts';
import { NUMBERS_PAGE, STRATEGIES_PAGE, TABLE_STATS } from './schemas.ts';
import type { Reads } from './view.ts';

/** How a list is written that may be too long for one JSON document. */
interface Format<Row> {
  readonly type: string;
  readonly ending: string;
  /** Before the first row. */
  readonly head: string;
  line(row: Row): string;
}

/** The media types beside JSON. */
export const NDJSON = 'application/x-ndjson';
export const CSV = 'text/csv';

/**
 * The format that `Accept` names; null where JSON is meant. Every row begins with the `same` fields, and a line of CSV
 * goes on with `columns`.
 */
function formatOf(
  accept: string,
  same: Readonly<Record<string, string>>,
  columns: readonly string[],
): Format<object> | null {
  if (acceptNames(accept, CSV)) {
    const line = (row: object): string => csvLine([...Object.values(same), ...cellsOf(row, columns)]);
    const head = csvLine([...Object.keys(same), ...columns]);
    return { type: `${CSV}; charset=utf-8`, ending: 'csv', head, line };
  }
  if (!acceptNames(accept, NDJSON)) return null;
  return { type: NDJSON, ending: 'ndjson', head: '', line: (row) => `${JSON.stringify({ ...same, ...row })}\n` };
}

/** At most `limit` rows as text, portion by portion; the head comes with the first. */
async function* inFormat<Row>(
  portions: AsyncIterable<readonly Row[]>,
  { head, line }: Format<Row>,
  limit: number,
): AsyncGenerator<string, void, undefined> {
  let left = limit;
  let text = head;
  for await (const rows of portions) {
    yield text + rows.slice(0, left).map(line).join('');
    text = '';
    left -= rows.length;
    if (left <= 0) return;
  }
  if (text !== '') yield text;
}

type HistoryDeps = Pick<HttpDeps, 'numbers' | 'strategies' | 'tableStats' | 'feedStatus'>;

/** Rows of one page, and over how many numbers `/stats` counts. */
const PAGE = { min: 1, max: 10_000, fallback: 20 } as const;
const STATS_LAST = { min: 1, max: 1_000_000, fallback: 200 } as const;

/** Reads of more than a page, which may take a minute: so many at one time, and of one address. */
const LONG_READS = { all: 4, each: 2 } as const;

const SINCE: Parameter = {
  name: 'since',
  in: 'query',
  about: 'From this instant on: ISO-8601, or seconds or milliseconds since 1970.',
};
const UNTIL: Parameter = { name: 'until', in: 'query', about: 'Before this instant, in the same forms.' };
const LIMIT: Parameter = { name: 'limit', in: 'query', about: 'How many rows.', integer: PAGE };
const BEFORE: Parameter = { name: 'before', in: 'query', about: '`next` of the page before.' };

const LISTED = {
  group: 'Tables',
  access: 'tables',
  about:
    'Newest first. JSON comes page by page. Where `Accept` names application/x-ndjson or text/csv, all of the range is streamed, or `limit` rows; an answer that breaks off is not complete. Streams are few: 429 says when to come back.',
  parameters: [ID, SINCE, UNTIL, LIMIT, BEFORE],
  formats: [NDJSON, CSV],
  errors: [400, 404, 429, 503],
} as const;

const NUMBERS: Operation = {
  ...LISTED,
  summary: 'The history of a table: its numbers',
  answers: { '200': NUMBERS_PAGE },
};

const STRATEGIES: Operation = {
  ...LISTED,
  summary: 'The history of a table: its strategy states',
  about: `${LISTED.about} They are the stored rows, and the present state of the table's own document.`,
  answers: { '200': STRATEGIES_PAGE },
};

const STATS: Operation = {
  group: 'Tables',
  access: 'tables',
  summary: 'What came how often, in which runs and after which gaps, beside what a fair wheel gives',
  about:
    'Over the last `last` numbers, or over those of a range, at most the last 1,000,000 of it. A wheel has 38 pockets where the table has a double zero or it was met, else 37. `setores` are the French sectors, or on 38 pockets the halves around each zero.',
  parameters: [ID, SINCE, UNTIL, { name: 'last', in: 'query', about: 'Over how many numbers.', integer: STATS_LAST }],
  answers: { '200': TABLE_STATS },
  errors: [400, 404, 429, 503],
};

const NUMBER_COLUMNS = ['id', 'numero', 'rotulo', 'cor', 'timestamp', 'suspeito'] as const;
const STRATEGY_COLUMNS = [
  ...(['id', 'timestamp', 'estado', 'numero_gatilho', 'terminais_gatilho'] as const),
  ...(['vitorias', 'derrotas', 'sugestao_display'] as const),
] as const;

/** A cursor holds an `_id` that its writer chose; what is longer is none. */
const MAX_CURSOR = 2000;

function rangeOf(query: URLSearchParams): HistoryRange {
  const before = query.get('before') ?? '';
  if (before.length > MAX_CURSOR) {
    throw new ProtocolError('invalid', { problems: [{ path: 'before', message: 'is no cursor of this service' }] });
  }
  return {
    sinceMs: instantParameter(query, 'since'),
    untilMs: instantParameter(query, 'until'),
    before: before === '' ? null : before,
  };
}

/** A name for the file that a browser makes of a stream. */
const fileNameOf = (table: TableDetail, kind: string, ending: string): string =>
  `${table.roleta_id.replace(/[^\w.-]/g, '_')}-${kind}.${ending}`;

/** Statistics over numbers that are in memory: also while the database is away. */
const recentStats = (newestFirst: readonly NumberItem[], doubleZero: boolean): TableStats =>
  statsOf(
    newestFirst.map(({ numero }) => numero),
    newestFirst[0]?.timestamp ?? null,
    newestFirst.at(-1)?.timestamp ?? null,
    doubleZero,
  );

/** `GET /api/v1/tables/:id/numbers`, `/strategies` and `/stats`: what is stored in the database, by index. */
export function historyRoutes(deps: HistoryDeps, reads: Reads, { maxPendingReads, extraFields }: HttpOptions): Route[] {
  const pending = readGate(maxPendingReads);
  const long = sharedGate(LONG_READS.all, LONG_READS.each, 'rate_limited');
  const of = ofTable(deps, reads);
  const numberColumns = [...NUMBER_COLUMNS, ...extraFields];
  const strategyColumns = [...STRATEGY_COLUMNS, ...extraFields];
  return [
    {
      pattern: '/api/v1/tables/:id/numbers',
      atRest: ['get'],
      operations: { get: NUMBERS },
      get: of(async (table, exchange) => {
        const rows = await streamed(long, deps.numbers, 'numbers', numberColumns, table, exchange);
        if (rows !== null) return rows;
        const { items, next } = await paged(pending, deps.numbers, table, exchange);
        return json(200, { ...namesOf(table), numeros: items, next });
      }),
    },
    {
      pattern: '/api/v1/tables/:id/strategies',
      atRest: ['get'],
      operations: { get: STRATEGIES },
      get: of(async (table, exchange) => {
        const rows = await streamed(long, deps.strategies, 'strategies', strategyColumns, table, exchange);
        if (rows !== null) return rows;
        const { items, next } = await paged(pending, deps.strategies, table, exchange);
        return json(200, { ...namesOf(table), estrategias: items, next });
      }),
    },
    {
      pattern: '/api/v1/tables/:id/stats',
      atRest: ['get'],
      operations: { get: STATS },
      get: of(async (table, { query, visitor }) => {
        const range = rangeOf(query);
        const isRange = range.sinceMs !== null || range.untilMs !== null;
        const fallback = isRange ? STATS_LAST.max : STATS_LAST.fallback;
        const last = need(integerParameter(query, 'last', { ...STATS_LAST, fallback }));
        const doubleZero = table.duplo_zero === true;
        if (!isRange && last <= table.numeros.length) {
          return json(200, { ...namesOf(table), ...recentStats(table.numeros.slice(0, last), doubleZero) });
        }
        const gate = last > PAGE.max ? long : pending;
        const stats = await gate.run(visitor.key, 1, () =>
          deps.tableStats(table.roleta_id, { ...range, last, doubleZero }),
        );
        return json(200, { ...namesOf(table), ...stats });
      }),
    },
  ];
}

const paged = <Item>(pending: SharedGate, history: TableHistory<Item>, table: TableDetail, exchange: Exchange) => {
  const range = rangeOf(exchange.query);
  const limit = need(integerParameter(exchange.query, 'limit', PAGE));
  return pending.run(exchange.visitor.key, 1, () => history.page(table.roleta_id, limit, range));
};

/** The range in the format that `Accept` names; null where it names none. */
async function streamed<Item extends object>(
  long: SharedGate,
  history: TableHistory<Item>,
  kind: 'numbers' | 'strategies',
  columns: readonly string[],
  table: TableDetail,
  { header, query, visitor }: Exchange,
): Promise<Answer | null> {
  const format = formatOf(header('accept'), namesOf(table), columns);
  if (format === null) return null;
  const range = rangeOf(query);
  const limit = query.get('limit') === null ? Infinity : need(integerParameter(query, 'limit', PAGE));
  const rows = long.stream(visitor.key, 1, () => history.stream(table.roleta_id, range));
  const rest = inFormat(rows, format, limit);
  // Whatever keeps it from beginning is an answer of its own.
  const first = await rest.next();
  return {
    status: 200,
    headers: {
      'Content-Type': format.type,
      'Content-Disposition': `attachment; filename="${fileNameOf(table, kind, format.ending)}"`,
    },
    body: first.value ?? '',
    rest,
  };
}
