import type { HttpDeps, IngestOutcome, TableDetail } from '../../src/gateway/http/deps.ts';
import type { LegacyHttpDeps } from '../../src/legacy/http.ts';
import { type LogLevel, logTo } from '../../src/log/log.ts';
import type { FeedStatus, LogPortion } from '../../src/protocol/delivery.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import type { NumberItem } from '../../src/protocol/messages.ts';
import { ORIGIN } from '../../src/protocol/position.ts';
import { isoOf } from '../../src/roulette/bson-value.ts';
import type { HistoryRange, LegacyNumber, StrategyRow, TableHistory } from '../../src/roulette/history.ts';
import type { InsertResult, NumberToStore, StrategyToStore } from '../../src/roulette/ingest.ts';
import { statsOf } from '../../src/roulette/stats.ts';
import { canonicalId, createDirectory, type TableId, uuidOf } from '../../src/roulette/table.ts';

export interface LogLine {
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Dependencies over memory, with what was asked of them. */
export interface FakeDeps extends HttpDeps, LegacyHttpDeps {
  readonly stored: Map<string, NumberToStore | StrategyToStore>;
  readonly lines: LogLine[];
  readonly outcomes: { readonly kind: string; readonly key: string; readonly outcome: IngestOutcome }[];
  readonly requests: { readonly route: string; readonly method: string; readonly status: number }[];
  readonly unauthorizedRoutes: string[];
}

export function tableId(text: string): TableId {
  const id = canonicalId(text);
  if (id === null) throw new Error(`${text} is no table id`);
  return id;
}

export const LIVE: FeedStatus = {
  phase: 'live',
  ready: true,
  reason: null,
  since: '2026-11-24T13:00:00.000Z',
  epoch: 'e1',
  position: null,
  floor: null,
  lagMs: 3,
  majorityStalled: false,
  recoverySeconds: 600,
  partial: [],
  server: '8.0.0',
  ring: { events: 0, bytes: 0, seconds: 600 },
  tables: 3,
  reopens: {},
  resets: {},
  skipped: {},
  fresh: {},
  lastSkipped: [],
  late: [],
  published: {},
};

const ITEMS: readonly NumberItem[] = [
  { id: 'n3', numero: 0, cor: 'verde', timestamp: '2026-11-24T13:02:00.000Z' },
  { id: 'n2', numero: 17, cor: 'preto', timestamp: '2026-11-24T13:01:00.000Z' },
  { id: 'n1', numero: 17, cor: 'preto', timestamp: '2026-11-24T13:00:00.000Z', suspeito: true },
];

const STATES: readonly StrategyRow[] = [
  {
    id: 's1',
    estado: 'TRIGGER',
    numero_gatilho: -1,
    terminais_gatilho: [4, 7],
    vitorias: 2,
    derrotas: 1,
    sugestao_display: 'APOSTAR EM: 4,7',
    timestamp: '2026-11-24T13:00:00.000Z',
  },
];

/** The history of every table, over memory. */
export const fakeHistory = <Item>(items: readonly Item[]): TableHistory<Item> => ({
  page: async (_table, limit) => ({ items: items.slice(0, limit), next: limit < items.length ? 'c1' : null }),
  async *stream() {
    yield items;
  },
});

const KNOWN: readonly (readonly [string, string])[] = [
  ['2010017', 'Ruleta Automática'],
  ['2010097', 'VIP Roulette'],
  ['2380117', 'VIP Roulette'],
];

export const EMPTY_LOG: LogPortion = { epoch: 'e1', floor: ORIGIN, tail: ORIGIN, frames: [], last: null, more: false };

export function tableDetail(id: TableId, name: string = id): TableDetail {
  return {
    roleta_id: id,
    roleta_nome: name,
    uuid: uuidOf(id),
    ultimo: ITEMS[0] ?? null,
    estrategia: null,
    epoch: 'e1',
    position: '67449f0a00000001ffffff',
    stale: false,
    numeros: ITEMS,
  };
}

const sameContent = (a: object, b: object): boolean => JSON.stringify(a) === JSON.stringify(b);

export function fakeDeps(overrides: Partial<HttpDeps & LegacyHttpDeps> = {}): FakeDeps {
  const stored = new Map<string, NumberToStore | StrategyToStore>();
  const lines: LogLine[] = [];
  const outcomes: FakeDeps['outcomes'] = [];
  const requests: FakeDeps['requests'] = [];
  const unauthorizedRoutes: string[] = [];
  const directory = createDirectory();
  for (const [id, name] of KNOWN) directory.learn(tableId(id), name);
  const states = KNOWN.map(([id, name]) => tableDetail(tableId(id), name));
  const insert = (item: NumberToStore | StrategyToStore): InsertResult => {
    const before = stored.get(item.id);
    if (before === undefined) {
      stored.set(item.id, item);
      return { status: 'created', id: item.id };
    }
    if (sameContent(before, item)) return { status: 'duplicate', id: item.id };
    return { status: 'error', error: new ProtocolError('conflict') };
  };
  const legacy = (): LegacyNumber[] =>
    states.map((state) => ({
      _id: `l-${state.roleta_id}`,
      roleta_id: state.roleta_id,
      roleta_nome: state.roleta_nome,
      numero: 0,
      cor: 'verde',
      timestamp: isoOf(1_700_000_000_000),
      criado_em: null,
    }));
  return {
    stored,
    lines,
    outcomes,
    requests,
    unauthorizedRoutes,
    log: logTo((level, event, fields) => lines.push({ level, event, fields })),
    observe: {
      request: (route, method, status) => {
        requests.push({ route, method, status });
      },
      ingest: (kind, key, outcome) => {
        outcomes.push({ kind, key, outcome });
      },
      inserted: () => undefined,
      unauthorized: (route) => {
        unauthorizedRoutes.push(route);
      },
    },
    insertNumbers: async (items) => items.map(insert),
    insertStrategies: async (items) => items.map(insert),
    confirmNumber: async (item) => stored.has(item.id),
    resolve: directory.resolve,
    nameOf: directory.nameOf,
    isKnown: (table) => directory.nameOf(table) !== null,
    tables: () => states,
    table: (id) => states.find((state) => state.roleta_id === id) ?? null,
    numbers: fakeHistory(ITEMS),
    strategies: fakeHistory(STATES),
    tableStats: async () => statsOf([0, 17, 17], '2026-11-24T13:02:00.000Z', '2026-11-24T13:00:00.000Z'),
    legacyNumbers: async ({ tables, limit, skip }) => {
      const data = legacy().filter(({ roleta_id }) => tables === null || tables.some((id) => id === roleta_id));
      return { total: data.length, data: data.slice(skip, skip + limit) };
    },
    readLog: () => EMPTY_LOG,
    changed: (_topic, waitMs) => new Promise((resolve) => setTimeout(resolve, waitMs)),
    feedStatus: () => LIVE,
    databaseOk: () => true,
    builtinMongo: () => null,
    draining: () => false,
    detail: () => ({ connections: 0 }),
    statusHistory: async () => ({ samples: [], alerts: [] }),
    metrics: async () => '# HELP up Whether it runs.\nup 1\n',
    files: new Map(),
    ...overrides,
  };
}

/** Everything that is stored, from the newest on. */
export const WHOLE_HISTORY: HistoryRange = Object.freeze({ sinceMs: null, untilMs: null, before: null });
