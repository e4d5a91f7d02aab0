import { z } from 'zod';
import {
  cor,
  count,
  doubleZero,
  errorCode,
  numberItem,
  problem,
  retry,
  stale,
  strategyItem,
  tableNames,
  time,
  wheelLabel,
  wheelNumber,
} from '../../protocol/message-schemas.ts';
import { numberPost, strategyPost } from '../../roulette/ingest.ts';
import {
  type Expectation,
  type GapStats,
  type NumberStats,
  STREAK_BETS,
  type StreakStats,
  type TableStats,
} from '../../roulette/stats.ts';

/** The names that OpenAPI gives to schemas. */
export const SCHEMAS = z.registry<{ id: string }>();

/** Gives a schema its name in OpenAPI. */
export function named<Schema extends z.ZodType>(id: string, schema: Schema): Schema {
  SCHEMAS.add(schema, { id });
  return schema;
}

export const NUMBER_POST = named('NumberPost', numberPost);
export const NUMBER_POSTS = named('NumberPosts', z.array(numberPost).min(1).max(500));
export const STRATEGY_POST = named('StrategyPost', strategyPost);
export const STRATEGY_POSTS = named('StrategyPosts', z.array(strategyPost).min(1).max(500));

const NUMBER_ITEM = named('NumberItem', numberItem.strict());
const STRATEGY_ITEM = named('StrategyItem', strategyItem.strict());

const TABLE = named(
  'Table',
  z.strictObject({
    ...tableNames,
    uuid: z.guid().describe('md5 of the id, written as a UUID.'),
    ultimo: NUMBER_ITEM.nullable(),
    estrategia: STRATEGY_ITEM.nullable(),
    duplo_zero: doubleZero,
  }),
);

export const TABLE_LIST = named('TableList', z.strictObject({ tables: z.array(TABLE), stale }));

export const TABLE_STATE = named(
  'TableState',
  z.strictObject({
    ...TABLE.shape,
    epoch: z.string(),
    position: z.string().describe('Subscribe with `after` this, in this epoch, to go on from here.'),
    stale,
    numeros: z.array(NUMBER_ITEM).describe('Newest first.'),
  }),
);

export const NUMBERS_PAGE = named(
  'NumbersPage',
  z.strictObject({
    ...tableNames,
    numeros: z.array(NUMBER_ITEM).describe('Newest first.'),
    next: z.string().nullable().describe('Opaque; `before` of the next, older page. Null at the end.'),
  }),
);

export const STRATEGIES_PAGE = named(
  'StrategiesPage',
  z.strictObject({
    ...tableNames,
    estrategias: z.array(z.strictObject({ id: z.string(), ...STRATEGY_ITEM.shape })).describe('Newest first.'),
    next: z.string().nullable().describe('Opaque; `before` of the next, older page. Null at the end.'),
  }),
);

export const TABLE_STRATEGY = named(
  'TableStrategy',
  z.strictObject({ ...tableNames, estrategia: STRATEGY_ITEM.nullable(), stale }),
);

const NUMBER_STATS = named(
  'NumberStats',
  z.strictObject({
    numero: wheelNumber,
    rotulo: wheelLabel,
    cor,
    vezes: count.describe('How often it came.'),
    ausencia: count.describe('Numbers since it came last.'),
    maior_ausencia: count.describe('The longest run of numbers without it.'),
  }) satisfies z.ZodType<NumberStats>,
);

const EXPECTED = z.number().min(0);

const STREAKS = z.strictObject({
  de: z.enum(STREAK_BETS),
  atual: count.describe('How long the run of the newest number is; 0 when that is another one.'),
  maior: count,
  maior_esperada: EXPECTED,
  vezes: z.array(count).length(10).describe('Runs of 1, 2, ... 9 and of 10 or more.'),
  esperado: z.array(EXPECTED).length(10),
}) satisfies z.ZodType<StreakStats>;

const GAPS = z.strictObject({
  de: count,
  ate: count.nullable().describe('Null is no limit.'),
  vezes: count.describe('How often a number came again after so many others.'),
  esperado: EXPECTED,
}) satisfies z.ZodType<GapStats>;

const EXPECTATION = z.strictObject({
  numero: EXPECTED.describe('Of each number.'),
  ausencia: EXPECTED,
  maior_ausencia: EXPECTED,
  cores: z.strictObject({ verde: EXPECTED, vermelho: EXPECTED, preto: EXPECTED }),
  duzia: EXPECTED.describe('Of each dozen.'),
  coluna: EXPECTED.describe('Of each column.'),
  paridade: z.strictObject({ par: EXPECTED, impar: EXPECTED, zero: EXPECTED }),
}) satisfies z.ZodType<Expectation>;

const SECTOR_STATS = z.strictObject({
  nome: z.enum(['vizinhos_do_zero', 'terco', 'orfaos', 'lado_do_zero', 'lado_do_duplo_zero']),
  numeros: z.array(wheelNumber),
  vezes: count,
  esperado: EXPECTED,
});

const STATS = z.strictObject({
  total: count,
  desde: time.nullable().describe('Of the oldest number counted.'),
  ate: time.nullable().describe('Of the newest.'),
  casas: z.union([z.literal(37), z.literal(38)]).describe('Pockets of the wheel: 38 with a double zero.'),
  numeros: z
    .array(NUMBER_STATS)
    .min(37)
    .max(38)
    .describe('By number, 0 to 36, and 37 where the wheel has a double zero.'),
  cores: z.strictObject({ verde: count, vermelho: count, preto: count }),
  duzias: z.tuple([count, count, count]),
  colunas: z.tuple([count, count, count]),
  paridade: z.strictObject({ par: count, impar: count, zero: count }),
  setores: z.array(SECTOR_STATS),
  sequencias: z.array(STREAKS).describe('How often each bet won several times in a row.'),
  intervalos: z.array(GAPS),
  esperado: EXPECTATION.describe('What a fair wheel gives on average in as many spins.'),
  ausentes: z.array(NUMBER_STATS).max(10).describe('Those that stayed away longest up to now.'),
}) satisfies z.ZodType<TableStats>;

export const TABLE_STATS = named('TableStats', z.strictObject({ ...tableNames, ...STATS.shape }));

const STATUS_OF_ITEM = z.enum(['created', 'duplicate']);

const ERROR_MEMBERS = {
  code: errorCode.describe('Never changes its meaning; switch on this.'),
  detail: z.string(),
  retry,
  retry_ms: z.number().optional(),
  problems: z.array(problem.strict()).optional(),
};

const LIVENESS = {
  live: z.literal(false).exactOptional().describe('Stored, and too old to become an event.'),
  reason: z.string().exactOptional(),
};

export const STORED = named('Stored', z.strictObject({ id: z.string(), status: STATUS_OF_ITEM, ...LIVENESS }));

export const STORED_EACH = named(
  'StoredEach',
  z.array(
    z.union([
      z.strictObject({ status: STATUS_OF_ITEM, http: z.number().int(), id: z.string(), ...LIVENESS }),
      z.strictObject({ status: z.literal('error'), http: z.number().int(), ...ERROR_MEMBERS }),
    ]),
  ),
);

export const PROBLEM = named(
  'Problem',
  z.strictObject({
    type: z.literal('about:blank'),
    title: z.string(),
    status: z.number().int(),
    ...ERROR_MEMBERS,
    request_id: z.string(),
  }),
);

export const HEALTH = named('Health', z.strictObject({ status: z.literal('ok') }));

export const READINESS = named(
  'Readiness',
  z.strictObject({ status: z.enum(['ready', 'not_ready']), reasons: z.array(z.string()) }),
);

export const STATUS = named(
  'Status',
  z.looseObject({
    service: z.string(),
    version: z.string(),
    state: z.enum(['live', 'degraded', 'not_ready']),
    ready: z.boolean(),
    reasons: z.array(z.string()),
    database: z.enum(['ok', 'unavailable']),
    tables: z.number().int(),
    timestamp: time,
  }),
);

const STATUS_SAMPLE = z.strictObject({
  at: time.describe('Its ten seconds begin here.'),
  lag_ms: z.number().nullable(),
  events_per_second: z.number(),
  connections: z.number().int(),
  recovery_seconds: z.number().nullable(),
  memory_bytes: z.number().int(),
});
export type StatusSample = z.infer<typeof STATUS_SAMPLE>;

const PAST_ALERT = z.strictObject({
  key: z.string(),
  alert: z.string(),
  severity: z.enum(['critical', 'warning']),
  since: time,
  until: time.nullable().describe('null while it holds.'),
  summary: z.string(),
  remedy: z.string(),
});

export const STATUS_HISTORY = named(
  'StatusHistory',
  z.strictObject({
    samples: z.array(STATUS_SAMPLE).describe('Oldest first.'),
    alerts: z.array(PAST_ALERT).describe('Newest first, the last 100.'),
  }),
);
export type StatusHistory = z.infer<typeof STATUS_HISTORY>;
