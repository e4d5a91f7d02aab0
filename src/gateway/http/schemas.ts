import { z } from 'zod';
import { ERRORS, type ErrorCode } from '../../protocol/errors.ts';
import type { NumberItem, StrategyItem } from '../../protocol/messages.ts';
import type { LegacyNumber } from '../../roulette/history.ts';
import { emitEventPost, numberPost, strategyPost } from '../../roulette/ingest-fields.ts';
import type { NumberStats, TableStats } from '../../roulette/stats.ts';

/** What the routes answer, as schemas: OpenAPI is made from them, and tests check real answers against them. */

const cor = z.enum(['verde', 'vermelho', 'preto']);
const tableId = z
  .string()
  .regex(/^\d{7}$/)
  .describe('Seven digits, always text.');
const time = z.iso.datetime().describe('ISO-8601 in UTC.');
const wheel = z.number().int().min(0).max(36);

const numberItem = z.strictObject({
  id: z.string(),
  numero: wheel,
  cor,
  timestamp: time,
  suspeito: z
    .literal(true)
    .exactOptional()
    .describe('Looks like a repetition by a restarted scraper; nothing is dropped.'),
}) satisfies z.ZodType<NumberItem>;

const strategyItem = z.strictObject({
  estado: z.enum(['NEUTRAL', 'TRIGGER', 'POST_GALE_NEUTRAL', 'MORTO']),
  numero_gatilho: z.number().int().min(-1).max(36).describe('-1 means none.'),
  terminais_gatilho: z.array(wheel),
  vitorias: z.number().int().min(0),
  derrotas: z.number().int().min(0),
  sugestao_display: z.string(),
  timestamp: time.nullable(),
}) satisfies z.ZodType<StrategyItem>;

const names = { roleta_id: tableId, roleta_nome: z.string() };
const stale = z.boolean().describe('True while MongoDB cannot be reached: the truth may have moved on.');

const table = z.strictObject({
  ...names,
  uuid: z.guid().describe('md5 of the id, written as a UUID.'),
  ultimo: numberItem.nullable(),
  estrategia: strategyItem.nullable(),
});

const tableList = z.strictObject({ tables: z.array(table), stale });

const tableState = z.strictObject({
  ...table.shape,
  epoch: z.string(),
  position: z.string().describe('Subscribe with `after` this, in this epoch, to go on from here.'),
  stale,
  numeros: z.array(numberItem).describe('Newest first.'),
});

const numbersPage = z.strictObject({
  ...names,
  numeros: z.array(numberItem).describe('Newest first.'),
  next: z.string().nullable().describe('Opaque; `before` of the next, older page. Null at the end.'),
});

const tableStrategy = z.strictObject({ ...names, estrategia: strategyItem.nullable(), stale });
const count = z.number().int().min(0);
const numberStats = z.strictObject({
  numero: wheel,
  cor,
  vezes: count.describe('How often it came.'),
  ausencia: count.describe('Numbers since it came last.'),
  maior_ausencia: count.describe('The longest run of numbers without it.'),
}) satisfies z.ZodType<NumberStats>;

const stats = z.strictObject({
  total: count,
  desde: time.nullable().describe('Of the oldest number counted.'),
  ate: time.nullable().describe('Of the newest.'),
  numeros: z.array(numberStats).length(37).describe('By number, 0 to 36.'),
  cores: z.strictObject({ verde: count, vermelho: count, preto: count }),
  duzias: z.tuple([count, count, count]),
  colunas: z.tuple([count, count, count]),
  paridade: z.strictObject({ par: count, impar: count, zero: count }),
  ausentes: z.array(numberStats).max(10).describe('Those that stayed away longest up to now.'),
}) satisfies z.ZodType<TableStats>;
const tableStats = z.strictObject({ ...names, ...stats.shape });

const status = z.enum(['created', 'duplicate']);
const stored = z.strictObject({ id: z.string(), status });

const ERROR_CODES = Object.keys(ERRORS).filter((code): code is ErrorCode => Object.hasOwn(ERRORS, code));
const errorMembers = {
  code: z.enum(ERROR_CODES).describe('Never changes its meaning; switch on this.'),
  detail: z.string(),
  retry: z.enum(['never', 'backoff', 'after']),
  retry_ms: z.number().optional(),
  problems: z.array(z.strictObject({ path: z.string(), message: z.string() })).optional(),
};

const storedEach = z.array(
  z.union([
    z.strictObject({ status, http: z.number().int(), id: z.string() }),
    z.strictObject({ status: z.literal('error'), http: z.number().int(), ...errorMembers }),
  ]),
);

const problem = z.strictObject({
  type: z.literal('about:blank'),
  title: z.string(),
  status: z.number().int(),
  ...errorMembers,
  request_id: z.string(),
});

const legacyError = z.looseObject({ error: z.string() });
const legacyNumber = z.strictObject({
  _id: z.string(),
  ...names,
  numero: wheel,
  cor,
  timestamp: time,
  criado_em: time.nullable(),
}) satisfies z.ZodType<LegacyNumber>;

const mood = z.enum(['online', 'degraded']);

/** By the name that OpenAPI gives them. */
export const SCHEMAS = {
  NumberPost: numberPost,
  NumberPosts: z.array(numberPost).min(1).max(500),
  StrategyPost: strategyPost,
  StrategyPosts: z.array(strategyPost).min(1).max(500),
  EmitEventPost: emitEventPost,
  NumberItem: numberItem,
  StrategyItem: strategyItem,
  Stored: stored,
  StoredEach: storedEach,
  Table: table,
  TableList: tableList,
  TableState: tableState,
  NumbersPage: numbersPage,
  TableStrategy: tableStrategy,
  NumberStats: numberStats,
  TableStats: tableStats,
  Problem: problem,
  LegacyError: legacyError,
  LegacyNumbers: z.array(legacyNumber),
  LegacyPage: z.strictObject({
    total: z.number().int(),
    skip: z.number().int(),
    limit: z.number().int(),
    data: z.array(legacyNumber),
  }),
  LegacyTables: z.array(z.strictObject({ id: tableId, nome: z.string() })),
  LegacyStored: z.strictObject({ success: z.literal(true), message: z.string(), id: z.string() }),
  LegacyEmitted: z.strictObject({ success: z.literal(true), message: z.literal('Evento emitido com sucesso') }),
  LegacyRoot: z.strictObject({ status: mood, service: z.string(), timestamp: time }),
  LegacySocketStatus: z.strictObject({ status: z.literal('online'), mongoConnected: z.boolean(), timestamp: time }),
  LegacyStatus: z.strictObject({ status: mood, mongodb_connected: z.boolean(), version: z.string() }),
  Health: z.strictObject({ status: z.literal('ok') }),
  Readiness: z.strictObject({ status: z.enum(['ready', 'not_ready']), reasons: z.array(z.string()) }),
  Status: z.looseObject({
    service: z.string(),
    version: z.string(),
    state: z.enum(['live', 'degraded', 'not_ready']),
    ready: z.boolean(),
    reasons: z.array(z.string()),
    database: z.enum(['ok', 'unavailable']),
    tables: z.number().int(),
    timestamp: time,
  }),
} as const satisfies Readonly<Record<string, z.ZodType>>;

export type SchemaName = keyof typeof SCHEMAS;

/** Those that a caller sends: OpenAPI shows what may come, not what is made of it. */
export const REQUEST_SCHEMAS: ReadonlySet<string> = new Set([
  'NumberPost',
  'NumberPosts',
  'StrategyPost',
  'StrategyPosts',
  'EmitEventPost',
] satisfies SchemaName[]);
