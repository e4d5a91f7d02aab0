import { randomUUID } from 'node:crypto';
import { ERRORS, ProtocolError } from '../../protocol/errors.ts';
import {
  type IngestContext,
  type InsertResult,
  MAX_BATCH,
  type NumberToStore,
  type Post,
  parseNumberPost,
  parseStrategyPost,
  type Read,
  type StrategyToStore,
} from '../../roulette/ingest.ts';
import { isBackfill } from '../../roulette/number.ts';
import type { TableId } from '../../roulette/table.ts';
import { type Answer, asProtocolError, errorMembers, json } from '../door/answer.ts';
import { type Exchange, jsonBodyOf } from '../door/exchange.ts';
import { inTurns } from '../door/kept.ts';
import { limiter, sharedGate } from '../door/limits.ts';
import { type Caller, callerCheck } from './callers.ts';
import type { HttpDeps, IngestKind } from './deps.ts';
import { needReady } from './health.ts';
import type { HttpOptions } from './options.ts';
import { INGEST_ERRORS, type Operation, type Parameter, type Route, SPIN } from './route.ts';
import { NUMBER_POST, NUMBER_POSTS, STORED, STORED_EACH, STRATEGY_POST, STRATEGY_POSTS } from './schemas.ts';

type Insert<T> = (items: readonly T[]) => Promise<readonly InsertResult[]>;

/** How long a table that was posted is counted before the stream has told of it. */
const UNSEEN_MS = 60_000;

/** Of one post after the other: whether it may be for a table, which is known, or for which there is room. */
function roomFor(deps: Pick<HttpDeps, 'isKnown' | 'feedStatus'>, maxTables: number): () => (table: TableId) => boolean {
  /** Posted and not seen yet: when, in monotonic milliseconds. */
  const unseen = new Map<TableId, number>();
  const roomNow = (): number => maxTables - deps.feedStatus().tables - unseen.size;
  const forget = (now: number): void => {
    for (const [table, at] of unseen) if (deps.isKnown(table) || now - at > UNSEEN_MS) unseen.delete(table);
  };
  const roomAt = (now: number): number => {
    if (roomNow() <= 0) forget(now);
    return roomNow();
  };
  return () => {
    const now = performance.now();
    // Counted for tables that are not known: hardly any post brings one.
    let room: number | null = null;
    return (table) => {
      if (unseen.has(table) || deps.isKnown(table)) return true;
      room ??= roomAt(now);
      if (room <= 0) return false;
      room -= 1;
      unseen.set(table, now);
      return true;
    };
  };
}

/**
 * Any seven digits are a table, and every table costs everybody who lists them. Inserts what is for a known table or for
 * one that there is room for; the others have the error `invalid`, each for itself.
 */
function limitTables(deps: Pick<HttpDeps, 'isKnown' | 'feedStatus'>, maxTables: number) {
  const room = roomFor(deps, maxTables);
  const message = `is not known, and there are ${maxTables} tables already (MAX_TABLES)`;
  // One for all: a flood of them must not cost a stack trace each.
  const tooMany: InsertResult = {
    status: 'error',
    error: new ProtocolError('invalid', { problems: [{ path: 'roleta_id', message }] }),
  };
  return <T extends { readonly table: TableId }>(insert: Insert<T>): Insert<T> =>
    async (items) => {
      const mayBring = room();
      const fits = items.map(({ table }) => mayBring(table));
      const fitting = items.filter((_, at) => fits[at]);
      const stored = fitting.length === 0 ? [] : await insert(fitting);
      let at = 0;
      return fits.flatMap((fit) => (fit ? stored.slice(at, ++at) : [tooMany]));
    };
}

type WriterDeps = Pick<
  HttpDeps,
  'insertNumbers' | 'insertStrategies' | 'observe' | 'log' | 'resolve' | 'nameOf' | 'isKnown' | 'feedStatus'
>;

/** The way from an admitted caller to the database: limits, the call itself, and what is counted of it. */
export interface Writers {
  /**
   * Takes one post: who it is from, and what it brings, which its rate is charged with before any of it is read. A caller
   * that is refused, or that owes for what it posted before, is told so before its body is. `reader` looks at the headers
   * and gives what reads the body. To be called before the first await.
   */
  readonly receive: (kind: IngestKind, exchange: Exchange, route: string, reader: BodyReader) => Promise<Received>;
  /** Stores items; one result each. Throws `overloaded` or what the database failed with. */
  readonly numbers: (caller: Caller, items: readonly NumberToStore[]) => Promise<readonly InsertResult[]>;
  readonly strategies: (caller: Caller, items: readonly StrategyToStore[]) => Promise<readonly InsertResult[]>;
  /** Runs a reader of a body, and counts what it refuses. */
  readonly read: <T>(kind: IngestKind, caller: Caller, parse: () => T) => T;
  /** Counts an item that failed before it came to the database. */
  readonly refused: (kind: IngestKind, caller: Caller, error: unknown) => void;
}

/** Looks at a request's headers; gives what makes the value of its body. */
type BodyReader = (exchange: Exchange) => (bytes: Uint8Array) => unknown;

/** A post that was let in. */
export interface Received {
  readonly caller: Caller;
  readonly body: unknown;
  readonly context: IngestContext;
}

/** Between two log lines about the same failure: a database that is down must not fill the disk. */
const LOG_INTERVAL_MS = 5_000;

/** What is no JSON costs its caller an item for each so many bytes: reading it cost us that. */
const BYTES_PER_ITEM = 256;

/** How many items a body counts as. A longer array is refused whole, for its length. */
const itemsIn = (body: unknown): number => (Array.isArray(body) ? Math.min(Math.max(1, body.length), MAX_BATCH) : 1);

/** Stores items of one caller: within its share of what may wait for the database. */
type Store = <T>(
  kind: IngestKind,
  caller: Caller,
  items: readonly T[],
  insert: (items: readonly T[]) => Promise<readonly InsertResult[]>,
) => Promise<readonly InsertResult[]>;

/** Logs failures, each code once in a while. */
function failureLog({ log }: Pick<WriterDeps, 'log'>) {
  const loggedAt = new Map<string, number>();
  return (kind: IngestKind, key: string, error: ProtocolError, items: number): void => {
    const now = performance.now();
    const last = loggedAt.get(error.code);
    if (last !== undefined && now - last < LOG_INTERVAL_MS) return;
    loggedAt.set(error.code, now);
    log.warn('ingest_failed', { kind, key, items, code: error.code, err: error.cause });
  };
}

function storeOf(deps: WriterDeps, options: HttpOptions): Store {
  const keys = new Set(options.ingestKeys.map(({ name }) => name)).size;
  // A share holds one array, however many keys there are.
  const share = Math.max(MAX_BATCH, Math.floor(options.maxPendingWrites / Math.max(1, keys)));
  const pending = sharedGate(options.maxPendingWrites, share, 'overloaded');
  const logFailure = failureLog(deps);
  return async (kind, caller, items, insert) => {
    if (items.length === 0) return [];
    try {
      const startedAt = performance.now();
      const results = await pending.run(caller.limitKey, items.length, () => insert(items));
      deps.observe.inserted(kind, items.length, performance.now() - startedAt);
      if (results.length !== items.length) throw new Error(`${items.length} items, ${results.length} results`);
      for (const result of results) {
        deps.observe.ingest(kind, caller.key, result.status === 'error' ? result.error.code : result.status);
        if (result.status === 'error' && result.error.code !== 'conflict')
          logFailure(kind, caller.key, result.error, 1);
      }
      return results;
    } catch (cause) {
      const error = asProtocolError(cause);
      logFailure(kind, caller.key, error, items.length);
      for (const _ of items) deps.observe.ingest(kind, caller.key, error.code);
      throw error;
    }
  };
}

/** What is known of a post beside its body. */
function contextOf(
  deps: WriterDeps,
  exchange: Exchange,
  { scope, mayPost }: Caller,
  signature: string | null,
): IngestContext {
  let made = 0;
  return {
    nowMs: Date.now(),
    resolve: (reference) => {
      // Names are not known yet: to call this one unknown would tell the caller to give up.
      needReady(deps);
      return deps.resolve(reference);
    },
    nameOf: (table) => deps.nameOf(table),
    // An empty one is refused like any other bad key.
    idempotencyKey: exchange.headers.get('idempotency-key') ?? null,
    caller: scope,
    mayPost,
    // A signed body that is sent again by somebody else is the same post, on every instance.
    freshKey: () => (signature === null ? randomUUID() : `s-${signature.slice(0, 32)}-${made++}`),
  };
}

export function writersOf(deps: WriterDeps, options: HttpOptions): Writers {
  const check = callerCheck(options);
  const limited = limitTables(deps, options.maxTables);
  const limit = limiter((key) => ({
    perSecond: options.ingestKeys.find(({ name }) => name === key)?.perSecond ?? options.ingestPerSecond,
    burst: options.ingestBurst,
  }));
  const store = storeOf(deps, options);
  const insertNumbers = limited<NumberToStore>((items) => deps.insertNumbers(items));
  const insertStrategies = limited<StrategyToStore>((items) => deps.insertStrategies(items));

  const refused: Writers['refused'] = (kind, caller, error) =>
    deps.observe.ingest(kind, caller.key, asProtocolError(error).code);

  const admit = (exchange: Exchange, route: string): Caller => {
    try {
      return check(exchange);
    } catch (error) {
      deps.observe.unauthorized(route);
      throw error;
    }
  };

  const signatureIn = (caller: Caller, bytes: Uint8Array, route: string): string | null => {
    try {
      return caller.signed(bytes);
    } catch (error) {
      deps.observe.unauthorized(route);
      throw error;
    }
  };

  const counted: Writers['read'] = (kind, caller, act) => {
    try {
      return act();
    } catch (error) {
      refused(kind, caller, error);
      throw error;
    }
  };

  const charged = (caller: Caller, bytes: Uint8Array, read: (bytes: Uint8Array) => unknown): unknown => {
    let body: unknown;
    try {
      body = read(bytes);
    } catch (error) {
      limit.owe(caller.limitKey, Math.ceil(bytes.length / BYTES_PER_ITEM));
      throw error;
    }
    limit.take(caller.limitKey, itemsIn(body));
    return body;
  };

  return {
    receive: async (kind, exchange, route, reader) => {
      const caller = admit(exchange, route);
      const read = reader(exchange);
      counted(kind, caller, () => limit.enter(caller.limitKey));
      const bytes = await exchange.body();
      const context = contextOf(deps, exchange, caller, signatureIn(caller, bytes, route));
      return { caller, body: counted(kind, caller, () => charged(caller, bytes, read)), context };
    },
    numbers: (caller, items) => store('number', caller, items, insertNumbers),
    strategies: (caller, items) => store('strategy', caller, items, insertStrategies),
    read: counted,
    refused,
  };
}

/** How one element of an array ended. `http` is the status that it would have had as a single post. */
type ElementResult =
  | ({ readonly status: 'created' | 'duplicate'; readonly http: number; readonly id: string } & NotLive)
  | ({ readonly status: 'error'; readonly http: number } & Readonly<Record<string, unknown>>);

const STATUS = { created: 201, duplicate: 200 } as const;

/** Beside what was stored but becomes no live event. */
interface NotLive {
  readonly live?: false;
  readonly reason?: string;
}

/** Why a number that is stored becomes no live event; nothing where it does. */
function livenessOf({ timestampMs }: { readonly timestampMs: number }, maxAgeMs: number, nowMs: number): NotLive {
  if (!isBackfill(timestampMs, nowMs, maxAgeMs)) return {};
  const ageS = Math.round((nowMs - timestampMs) / 1000);
  const reason = `its timestamp is ${ageS} s old, and live is up to ${maxAgeMs / 1000} s: it enters the history alone; times without a zone are UTC`;
  return { live: false, reason };
}

function elementOf(result: InsertResult, live: NotLive = {}): ElementResult {
  if (result.status !== 'error') return { status: result.status, http: STATUS[result.status], id: result.id, ...live };
  return { status: 'error', http: ERRORS[result.error.code].status, ...errorMembers(result.error) };
}

function single(results: readonly InsertResult[], live: NotLive): Answer {
  const [result] = results;
  if (result === undefined) throw new Error('no result for one item');
  if (result.status === 'error') throw result.error;
  return json(STATUS[result.status], { id: result.id, status: result.status, ...live });
}

/** Elements of an array that are read in one turn of the event loop: some 0.3 ms. */
const PER_TURN = 50;

/** Stores the good elements of an array; each gets its own result, in order, and none fails its neighbours. */
async function batch<T>(
  elements: readonly Read<T>[],
  store: (items: readonly T[]) => Promise<readonly InsertResult[]>,
  liveOf: (item: T) => NotLive,
): Promise<Answer> {
  const good = elements.flatMap((read) => (read.ok ? [read.value] : []));
  const stored = (await store(good)).values();
  const results = elements.map((read): ElementResult => {
    if (!read.ok) return elementOf({ status: 'error', error: read.error });
    const { value } = stored.next();
    if (value === undefined) throw new Error('fewer results than items');
    return elementOf(value, liveOf(read.value));
  });
  return json(207, results);
}

const IDEMPOTENCY_KEY: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  about: 'Your own id of this event; the same again answers 200 and stores nothing. Single objects only.',
};

const POSTED = {
  group: 'Ingest',
  access: 'ingest',
  parameters: [IDEMPOTENCY_KEY],
  answers: { '200': STORED, '201': STORED, '207': STORED_EACH },
  errors: INGEST_ERRORS,
} as const;

const POST_NUMBERS: Operation = {
  ...POSTED,
  summary: 'Store one number, or up to 500',
  about:
    'Answered once a majority of the replica set has it. Without a key of yours, table, number and your own timestamp identify it; without those each post is a new number. `live: false` says that it is too old for an event, and why. After 503 or 504 repeat with the same key. An array is answered 207 with one result each, in order.',
  body: [NUMBER_POST, NUMBER_POSTS],
  example: SPIN,
};

const POST_STRATEGIES: Operation = {
  ...POSTED,
  summary: 'Store one strategy state, or up to 500',
  body: [STRATEGY_POST, STRATEGY_POSTS],
  example: { roleta_id: '2010165', estado: 'TRIGGER', numero_gatilho: 7, terminais_gatilho: [4, 7, 8] },
};

function postRoute<T>(
  kind: IngestKind,
  pattern: string,
  operation: Operation,
  parse: (body: unknown, context: IngestContext) => Post<T>,
  writers: Writers,
  store: (caller: Caller, items: readonly T[]) => Promise<readonly InsertResult[]>,
  liveOf: (item: T) => NotLive,
): Route {
  return {
    pattern,
    atRest: ['post'],
    operations: { post: operation },
    post: async (exchange) => {
      const { caller, body, context } = await writers.receive(kind, exchange, pattern, jsonBodyOf);
      const post = writers.read(kind, caller, () => parse(body, context));
      if (post.kind === 'single') return single(await store(caller, [post.item]), liveOf(post.item));
      const elements = await inTurns(post.items, PER_TURN);
      for (const element of elements) if (!element.ok) writers.refused(kind, caller, element.error);
      return batch(elements, (items) => store(caller, items), liveOf);
    },
  };
}

/** `POST /api/v1/numbers` and `POST /api/v1/strategies`. */
export const ingestRoutes = (writers: Writers, liveMaxAgeMs: number): Route[] => [
  postRoute('number', '/api/v1/numbers', POST_NUMBERS, parseNumberPost, writers, writers.numbers, (item) =>
    livenessOf(item, liveMaxAgeMs, Date.now()),
  ),
  postRoute(
    'strategy',
    '/api/v1/strategies',
    POST_STRATEGIES,
    parseStrategyPost,
    writers,
    writers.strategies,
    () => ({}),
  ),
];
