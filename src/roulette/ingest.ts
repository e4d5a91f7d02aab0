import { z } from 'zod';
import { type Problem, ProtocolError } from '../protocol/errors.ts';
import type { Cor, Estado } from '../protocol/messages.ts';
import { problemsOf } from '../protocol/requests.ts';
import { isDocument, MAX_TEXT, nameOf, parseTimestamp, type RawDocument, textOf } from './bson-value.ts';
import { numeroFrom } from './number.ts';
import { unknownFields } from './source.ts';
import { countOf, stateOf, terminalsOf, triggerOf } from './strategy.ts';
import { canonicalId, md5Of, type TableId } from './table.ts';
import { colourOf, DOUBLE_ZERO, DOUBLE_ZERO_LABEL } from './wheel.ts';

/**
 * The fields of ingest bodies as real scrapers send them: digits in strings for integers, timestamps without a zone,
 * older names, nulls. Each schema reads its field into the value that is stored.
 */

const numberOrText = (error: string) => z.union([z.number(), z.string()], { error });

/** A reader that answers null for what it refuses, as a schema step with this message. */
const readWith =
  <In, Out>(read: (value: In) => Out | null, message: string) =>
  (value: In, context: z.RefinementCtx<In>): Out => {
    const result = read(value);
    if (result !== null) return result;
    context.addIssue({ code: 'custom', message, input: value });
    return z.NEVER;
  };

const ON_WHEEL = 'must be an integer from 0 to 36';
/** 37 stands for the double zero; whether it may, the label tells. */
const numeroOf = (value: unknown): number | null => numeroFrom(value, DOUBLE_ZERO_LABEL);

const ON_ANY_WHEEL = `${ON_WHEEL}, or "00"`;
const numero = numberOrText(ON_ANY_WHEEL).transform(readWith(numeroOf, ON_ANY_WHEEL));
const rotulo = z.string({ error: 'must be text' }).max(8).nullish();

const COLOURS: readonly Cor[] = ['verde', 'vermelho', 'preto'];
const NO_COLOUR = `must be one of ${COLOURS.join(', ')}, or left out`;
const cor = z
  .string({ error: NO_COLOUR })
  .nullish()
  .transform(
    readWith((value) => {
      const text = (value ?? '').trim().toLowerCase();
      return text === ''
        ? { given: null }
        : (COLOURS.map((given) => ({ given })).find(({ given }) => given === text) ?? null);
    }, NO_COLOUR),
  );

const NO_TIMESTAMP =
  'must be ISO-8601 (UTC where it names no zone), epoch milliseconds, or epoch seconds from 2001 to 2100, or left out';
const timestamp = numberOrText(NO_TIMESTAMP)
  .nullish()
  .transform(
    readWith((value) => {
      const given = typeof value === 'string' ? value.trim() : value;
      if (given === undefined || given === null || given === '') return { ms: null };
      const ms = parseTimestamp(given);
      return ms === null ? null : { ms };
    }, NO_TIMESTAMP),
  );

const EVENT_KEY = /^[^\p{C}]{1,200}$/u;
const BAD_KEY = 'must be 1 to 200 printable characters';

/** A caller's event id as it goes into the `_id`; null when it is none. */
function eventKeyOf(value: string | number): string | null {
  const text = String(value).trim();
  return EVENT_KEY.test(text) ? text : null;
}

const eventId = numberOrText(BAD_KEY)
  .nullish()
  .transform(
    readWith((value) => {
      if (value === undefined || value === null || value === '') return { key: null };
      const key = eventKeyOf(value);
      return key === null ? null : { key };
    }, BAD_KEY),
  );

const text = (limit: number) =>
  z.string({ error: 'must be text' }).max(limit, `must have at most ${limit} characters`).nullish();

const table = {
  roleta_id: numberOrText('must be a table id').nullish(),
  roleta_nome: text(200),
};

/** One posted number. `roleta_id`, or a `roleta_nome` that one known table bears, is required. */
export const numberPost = z
  .object(
    { ...table, numero, rotulo, cor, timestamp, evento_id: eventId, rodada_id: eventId },
    { error: 'must be an object' },
  )
  .meta({ id: 'NumberPost' });

const BAD_TRIGGER = 'must be an integer from -1 (none) to 36';
const trigger = numberOrText(BAD_TRIGGER).nullish().transform(readWith(triggerOf, BAD_TRIGGER));

const BAD_TERMINALS = 'must be up to three integers from 0 to 36';
const terminals = z
  .array(numberOrText(ON_WHEEL), { error: BAD_TERMINALS })
  .nullish()
  .transform(readWith(terminalsOf, BAD_TERMINALS));

const BAD_COUNT = 'must be an integer of at least 0';
const count = numberOrText(BAD_COUNT).nullish().transform(readWith(countOf, BAD_COUNT));

/** One posted strategy state. `estado` (older: `estado_estrategia`) is required; nothing is assumed for it. */
export const strategyPost = z
  .object(
    {
      ...table,
      estado: text(MAX_TEXT),
      estado_estrategia: text(MAX_TEXT),
      numero_gatilho: trigger,
      terminais_gatilho: terminals,
      terminais: terminals,
      vitorias: count,
      derrotas: count,
      sugestao_display: text(MAX_TEXT),
      display_suggestion: text(MAX_TEXT),
      timestamp,
      evento_id: eventId,
      rodada_id: eventId,
    },
    { error: 'must be an object' },
  )
  .meta({ id: 'StrategyPost' });

/** What reading a post needs to know besides its body. */
export interface IngestContext {
  /** The time of arrival, epoch milliseconds: the timestamp of what comes without one. */
  readonly nowMs: number;
  /** The known tables that a UUID or name means. */
  readonly resolve: (reference: string) => readonly TableId[];
  /** The name that a table bears, stored with what comes without one. */
  readonly nameOf: (table: TableId) => string | null;
  /** The `Idempotency-Key` header, null when there is none. */
  readonly idempotencyKey: string | null;
  /** A key that was never used, such as a random UUID. */
  readonly freshKey: () => string;
  /** The name of who posts: nobody's keys are anybody else's. Empty where callers are not told apart. */
  readonly caller: string;
  /** Whether this caller may post for a table. */
  readonly mayPost: (table: TableId) => boolean;
}

interface Stamped {
  /** The `_id` to store under: `"<table id>:<key>"`, a colon of the id as in a URL. */
  readonly id: string;
  readonly table: TableId;
  readonly name: string | null;
  /** Epoch milliseconds. */
  readonly timestampMs: number;
  /** Optional fields that the caller gave itself: only these tell a repetition from other content under its key. */
  readonly given: { readonly name: boolean; readonly timestamp: boolean };
  /** Fields that nothing here gives a meaning to. */
  readonly extra?: RawDocument;
}

/** A number that may be stored. */
export interface NumberToStore extends Stamped {
  readonly numero: number;
  readonly cor: Cor;
}

/** A strategy state that may be stored. */
export interface StrategyToStore extends Stamped {
  readonly estado: Estado;
  readonly numeroGatilho: number;
  readonly terminaisGatilho: readonly number[];
  readonly vitorias: number;
  readonly derrotas: number;
  readonly sugestaoDisplay: string;
}

/** How the database answered for one item. The error is `conflict`, `write_unknown`, `database_unavailable`, ... */
export type InsertResult =
  | { readonly status: 'created' | 'duplicate'; readonly id: string }
  | { readonly status: 'error'; readonly error: ProtocolError };

/** One object read, or everything that is wrong with it (ProtocolError `invalid`), or `forbidden` for its table. */
export type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: ProtocolError };

/** A single object, or an array of which each element has its own result; each is read when it is asked for. */
export type Post<T> =
  | { readonly kind: 'single'; readonly item: T }
  | { readonly kind: 'batch'; readonly items: Iterable<Read<T>> };

/** Elements that one post may bring. */
export const MAX_BATCH = 500;

/** A result from further ahead than any wrong zone or clock explains would stay the newest for ever. */
const MAX_AHEAD_MS = 24 * 3600 * 1000;

const invalid = (problems: readonly Problem[]): ProtocolError => new ProtocolError('invalid', { problems });

/** What callers of `/emit-event` say of the message, and what is written here. */
const OURS = ['type', 'criado_em', 'evento'];

/** A schema of posts, and the fields that have a meaning here. */
const formOf = <S extends z.ZodObject>(schema: S) => ({
  schema,
  known: new Set([...Object.keys(schema.shape), ...OURS]),
});
const NUMBER = formOf(numberPost);
const STRATEGY = formOf(strategyPost);

const fieldOf = (body: unknown, field: string): unknown => (isDocument(body) ? body[field] : undefined);

/** The table that a body names, or why it names none. */
function tableOf(body: unknown, resolve: IngestContext['resolve']): TableId | Problem {
  const id = fieldOf(body, 'roleta_id');
  const name = fieldOf(body, 'roleta_nome');
  const path = id === undefined || id === null || id === '' ? 'roleta_nome' : 'roleta_id';
  const reference = path === 'roleta_id' ? id : name;
  const canonical = path === 'roleta_id' ? canonicalId(id) : null;
  if (canonical !== null) return canonical;
  if (reference === undefined || reference === null || reference === '') {
    return { path: 'roleta_id', message: 'is required: the id of the table' };
  }
  const [table, ...others] = typeof reference === 'string' ? resolve(reference) : [];
  if (table === undefined) return { path, message: 'no known table is called this; send its roleta_id' };
  if (others.length === 0) return table;
  return { path, message: `several tables are called this (${[table, ...others].join(', ')}); send roleta_id` };
}

const isProblem = (value: TableId | Problem): value is Problem => typeof value !== 'string';

/** Reads the fields by their schema and the table by its own rule, so that all problems come at once. */
function readFields<S extends z.ZodObject>(
  { schema, known }: { readonly schema: S; readonly known: ReadonlySet<string> },
  body: unknown,
  context: IngestContext,
) {
  const parsed = schema.safeParse(body);
  // A name means those of its tables that the caller may post for, so that it learns of no others.
  const table = tableOf(body, (reference) => context.resolve(reference).filter(context.mayPost));
  const problems = parsed.success ? [] : problemsOf(parsed.error);
  if (isDocument(body) && isProblem(table) && !problems.some(({ path }) => path === table.path)) problems.push(table);
  if (!parsed.success || isProblem(table)) return { ok: false as const, problems };
  const extra = isDocument(body) ? unknownFields(body, known) : undefined;
  return { ok: true as const, fields: parsed.data, table, extra };
}

interface CommonFields {
  readonly roleta_nome?: string | null | undefined;
  readonly timestamp: { readonly ms: number | null };
  readonly evento_id: { readonly key: string | null };
  readonly rodada_id: { readonly key: string | null };
}

/** The content key of a number: one table gives one number at one instant. */
const numberContent = (numero: number, timestampMs: number | null): string | null =>
  timestampMs === null ? null : `${numero}@${timestampMs}`;

/** The content key of a strategy state: its fields may change within a millisecond, so all of them count. */
const strategyContent = (fields: readonly unknown[], timestampMs: number | null): string | null =>
  timestampMs === null ? null : `e-${md5Of(JSON.stringify(fields))}@${timestampMs}`;

/**
 * The key of an object within its table, by the best that there is: posting the same again meets the first document.
 * What a caller chose bears its kind and a mark of the caller before it, so that neither another kind nor another caller
 * can take it. Content needs no mark: the same number at the same instant is the same, whoever brings it.
 */
function keyOf({ evento_id, rodada_id }: CommonFields, content: string | null, context: IngestContext): string {
  const { caller, idempotencyKey } = context;
  const mark = caller === '' ? '' : md5Of(caller).slice(0, 12);
  if (idempotencyKey !== null) return `k:${mark}:${idempotencyKey}`;
  if (evento_id.key !== null) return `e:${mark}:${evento_id.key}`;
  if (rodada_id.key !== null) return `r:${mark}:${rodada_id.key}`;
  return content ?? context.freshKey();
}

/** Up to the first colon is the table: else `2010165:k` with one key would be `2010165` with another. */
const tablePart = (table: TableId): string => table.replace(/[%:]/g, encodeURIComponent);

function stamp(
  { fields, table, extra }: { fields: CommonFields; table: TableId; extra: RawDocument | undefined },
  content: string | null,
  context: IngestContext,
): Stamped {
  const { ms } = fields.timestamp;
  const name = nameOf(fields.roleta_nome);
  return {
    id: `${tablePart(table)}:${keyOf(fields, content, context)}`,
    table,
    name: name ?? context.nameOf(table),
    timestampMs: ms ?? context.nowMs,
    given: { name: name !== null, timestamp: ms !== null },
    ...(extra === undefined ? {} : { extra }),
  };
}

function aheadProblems({ timestamp }: CommonFields, { nowMs }: IngestContext): Problem[] {
  if (timestamp.ms === null || timestamp.ms <= nowMs + MAX_AHEAD_MS) return [];
  return [{ path: 'timestamp', message: 'lies more than a day in the future' }];
}

type Reader<T> = (
  body: unknown,
  context: IngestContext,
) => { readonly value: T } | { readonly problems: readonly Problem[] };

const readNumber: Reader<NumberToStore> = (body, context) => {
  const read = readFields(NUMBER, body, context);
  if (!read.ok) return read;
  const { fields } = read;
  const { numero } = fields;
  const cor = colourOf(numero);
  const problems = aheadProblems(fields, context);
  const isLabelled = fields.rotulo === DOUBLE_ZERO_LABEL || textOf(fieldOf(body, 'numero')) === DOUBLE_ZERO_LABEL;
  if (numero === DOUBLE_ZERO && !isLabelled) {
    problems.push({ path: 'numero', message: 'must be an integer from 0 to 36, or "00" for the double zero' });
  }
  if (fields.cor.given !== null && fields.cor.given !== cor) {
    problems.push({ path: 'cor', message: `${numero} is ${cor}; correct it or leave it out` });
  }
  if (problems.length > 0) return { problems };
  return { value: { ...stamp(read, numberContent(numero, fields.timestamp.ms), context), numero, cor } };
};

const readStrategy: Reader<StrategyToStore> = (body, context) => {
  const read = readFields(STRATEGY, body, context);
  const stateText = textOf(fieldOf(body, 'estado')) ?? textOf(fieldOf(body, 'estado_estrategia'));
  const estado = stateText === null ? null : stateOf(stateText);
  const problems = read.ok ? aheadProblems(read.fields, context) : [...read.problems];
  if (estado === null && isDocument(body) && !problems.some(({ path }) => path.startsWith('estado'))) {
    const message = `${stateText === null ? 'is required' : 'must be'}: NEUTRAL, TRIGGER, POST_GALE_NEUTRAL or MORTO`;
    problems.push({ path: 'estado', message });
  }
  if (!read.ok || estado === null || problems.length > 0) return { problems };
  const { fields } = read;
  const state = {
    estado,
    numeroGatilho: fields.numero_gatilho,
    terminaisGatilho: fields.terminais_gatilho.length > 0 ? fields.terminais_gatilho : fields.terminais,
    vitorias: fields.vitorias,
    derrotas: fields.derrotas,
    sugestaoDisplay: textOf(fields.sugestao_display) ?? textOf(fields.display_suggestion) ?? '',
  };
  const content = strategyContent(Object.values(state), fields.timestamp.ms);
  return { value: { ...stamp(read, content, context), ...state } };
};

const under = (prefix: string, problems: readonly Problem[]): Problem[] =>
  problems.map(({ path, message }) => ({ path: [prefix, path].filter((part) => part !== '').join('.'), message }));

/** One object of a post, at `place` in it: its value, `invalid` with every problem, or `forbidden` for its table. */
function readAt<T extends Stamped>(read: Reader<T>, body: unknown, context: IngestContext, place: string): Read<T> {
  const result = read(body, context);
  if ('problems' in result) return { ok: false, error: invalid(under(place, result.problems)) };
  const { value } = result;
  if (context.mayPost(value.table)) return { ok: true, value };
  return { ok: false, error: new ProtocolError('forbidden', { message: `This key may not post for ${value.table}.` }) };
}

function valueOrThrow<T>(read: Read<T>): T {
  if (!read.ok) throw read.error;
  return read.value;
}

/** The context with its header's key checked. Throws ProtocolError `invalid` for a key that cannot be one. */
function withCheckedKey(context: IngestContext): IngestContext {
  if (context.idempotencyKey === null) return context;
  const idempotencyKey = eventKeyOf(context.idempotencyKey);
  if (idempotencyKey === null) throw invalid([{ path: 'Idempotency-Key', message: BAD_KEY }]);
  return { ...context, idempotencyKey };
}

function parsePost<T extends Stamped>(read: Reader<T>, body: unknown, given: IngestContext): Post<T> {
  const context = withCheckedKey(given);
  if (!Array.isArray(body)) return { kind: 'single', item: valueOrThrow(readAt(read, body, context, '')) };
  if (context.idempotencyKey !== null) {
    throw invalid([{ path: 'Idempotency-Key', message: 'belongs to one object; give each element its evento_id' }]);
  }
  if (body.length === 0 || body.length > MAX_BATCH) {
    throw invalid([{ path: '', message: `an array must have 1 to ${MAX_BATCH} elements` }]);
  }
  return { kind: 'batch', items: readEach(read, body, context) };
}

function* readEach<T extends Stamped>(read: Reader<T>, elements: readonly unknown[], context: IngestContext) {
  for (const [index, element] of elements.entries()) yield readAt(read, element, context, String(index));
}

/** Reads one number at `place` of a post. Throws ProtocolError: `invalid` with every problem by path, or `forbidden`. */
export const parseNumber = (body: unknown, context: IngestContext, place: string): NumberToStore =>
  valueOrThrow(readAt(readNumber, body, withCheckedKey(context), place));

/** The same of one strategy state. */
export const parseStrategy = (body: unknown, context: IngestContext, place: string): StrategyToStore =>
  valueOrThrow(readAt(readStrategy, body, withCheckedKey(context), place));

/** Reads `POST /api/v1/numbers`. Throws ProtocolError: `invalid` with every problem by path, or `forbidden`. */
export const parseNumberPost = (body: unknown, context: IngestContext): Post<NumberToStore> =>
  parsePost(readNumber, body, context);

/** Reads `POST /api/v1/strategies`. Throws ProtocolError: `invalid` with every problem by path, or `forbidden`. */
export const parseStrategyPost = (body: unknown, context: IngestContext): Post<StrategyToStore> =>
  parsePost(readStrategy, body, context);
