import { z } from 'zod';
import { ERRORS, type ErrorCode } from '../../protocol/errors.ts';
import type { NumberItem, StrategyItem } from '../../protocol/messages.ts';
import { numberPost, strategyPost } from '../../roulette/ingest-fields.ts';
import type { NumberStats, TableStats } from '../../roulette/stats.ts';

/** The names that OpenAPI gives to schemas. */
export const SCHEMAS = z.registry<{ id: string }>();

/** Gives a schema its name in OpenAPI. */
export function named<Schema extends z.ZodType>(id: string, schema: Schema): Schema {
  SCHEMAS.add(schema, { id });
  return schema;
}

export const COR = z.enum(['verde', 'vermelho', 'preto']);
export const TABLE_ID = z.string().min(1).max(64).describe('1 to 64 printable characters without spaces, always text.');
export const TIME = z.iso.datetime().describe('ISO-8601 in UTC.');
export const WHEEL = z.number().int().min(0).max(37).describe('0 to 36; 37 is the double zero of an American wheel.');
export const LABEL = z.literal('00').exactOptional().describe('What stands on the wheel, for the double zero.');
export const NAMES = { roleta_id: TABLE_ID, roleta_nome: z.string() };

const STALE = z.boolean().describe('True while MongoDB cannot be reached: the truth may have moved on.');
const COUNT = z.number().int().min(0);

export const NUMBER_POST = named('NumberPost', numberPost);
export const NUMBER_POSTS = named('NumberPosts', z.array(numberPost).min(1).max(500));
export const STRATEGY_POST = named('StrategyPost', strategyPost);
export const STRATEGY_POSTS = named('StrategyPosts', z.array(strategyPost).min(1).max(500));

const NUMBER_ITEM = named(
  'NumberItem',
  z.strictObject({
    id: z.string(),
    numero: WHEEL,
    rotulo: LABEL,
    cor: COR,
    timestamp: TIME,
    suspeito: z
      .literal(true)
      .exactOptional()
      .describe('Looks like a repetition by a restarted scraper; nothing is dropped.'),
  }) satisfies z.ZodType<NumberItem>,
);

const STRATEGY_ITEM = named(
  'StrategyItem',
  z.strictObject({
    estado: z.enum(['NEUTRAL', 'TRIGGER', 'POST_GALE_NEUTRAL', 'MORTO']),
    numero_gatilho: z.number().int().min(-1).max(36).describe('-1 means none.'),
    terminais_gatilho: z.array(WHEEL),
    vitorias: COUNT,
    derrotas: COUNT,
    sugestao_display: z.string(),
    timestamp: TIME.nullable(),
  }) satisfies z.ZodType<StrategyItem>,
);

const TABLE = named(
  'Table',
  z.strictObject({
    ...NAMES,
    uuid: z.guid().describe('md5 of the id, written as a UUID.'),
    ultimo: NUMBER_ITEM.nullable(),
    estrategia: STRATEGY_ITEM.nullable(),
    duplo_zero: z.literal(true).exactOptional().describe('The wheel has a double zero, and 38 numbers.'),
  }),
);

export const TABLE_LIST = named('TableList', z.strictObject({ tables: z.array(TABLE), stale: STALE }));

export const TABLE_STATE = named(
  'TableState',
  z.strictObject({
    ...TABLE.shape,
    epoch: z.string(),
    position: z.string().describe('Subscribe with `after` this, in this epoch, to go on from here.'),
    stale: STALE,
    numeros: z.array(NUMBER_ITEM).describe('Newest first.'),
  }),
);

export const NUMBERS_PAGE = named(
  'NumbersPage',
  z.strictObject({
    ...NAMES,
    numeros: z.array(NUMBER_ITEM).describe('Newest first.'),
    next: z.string().nullable().describe('Opaque; `before` of the next, older page. Null at the end.'),
  }),
);

export const TABLE_STRATEGY = named(
  'TableStrategy',
  z.strictObject({ ...NAMES, estrategia: STRATEGY_ITEM.nullable(), stale: STALE }),
);

const NUMBER_STATS = named(
  'NumberStats',
  z.strictObject({
    numero: WHEEL,
    rotulo: LABEL,
    cor: COR,
    vezes: COUNT.describe('How often it came.'),
    ausencia: COUNT.describe('Numbers since it came last.'),
    maior_ausencia: COUNT.describe('The longest run of numbers without it.'),
  }) satisfies z.ZodType<NumberStats>,
);

const STATS = z.strictObject({
  total: COUNT,
  desde: TIME.nullable().describe('Of the oldest number counted.'),
  ate: TIME.nullable().describe('Of the newest.'),
  numeros: z.array(NUMBER_STATS).min(37).max(38).describe('By number, 0 to 36, and 37 where the double zero was met.'),
  cores: z.strictObject({ verde: COUNT, vermelho: COUNT, preto: COUNT }),
  duzias: z.tuple([COUNT, COUNT, COUNT]),
  colunas: z.tuple([COUNT, COUNT, COUNT]),
  paridade: z.strictObject({ par: COUNT, impar: COUNT, zero: COUNT }),
  ausentes: z.array(NUMBER_STATS).max(10).describe('Those that stayed away longest up to now.'),
}) satisfies z.ZodType<TableStats>;

export const TABLE_STATS = named('TableStats', z.strictObject({ ...NAMES, ...STATS.shape }));

const STATUS_OF_ITEM = z.enum(['created', 'duplicate']);

const ERROR_CODES = Object.keys(ERRORS).filter((code): code is ErrorCode => Object.hasOwn(ERRORS, code));
const ERROR_MEMBERS = {
  code: z.enum(ERROR_CODES).describe('Never changes its meaning; switch on this.'),
  detail: z.string(),
  retry: z.enum(['never', 'backoff', 'after']),
  retry_ms: z.number().optional(),
  problems: z.array(z.strictObject({ path: z.string(), message: z.string() })).optional(),
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
    timestamp: TIME,
  }),
);
