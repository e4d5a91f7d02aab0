import { ERRORS } from '../../protocol/errors.ts';
import {
  type IngestContext,
  type InsertResult,
  type Post,
  parseNumberPost,
  parseStrategyPost,
  type Read,
} from '../../roulette/ingest.ts';
import { isBackfill } from '../../roulette/number.ts';
import { type Answer, errorMembers, json } from '../door/answer.ts';
import { jsonBodyOf } from '../door/exchange.ts';
import { inTurns } from '../door/kept.ts';
import type { Caller } from './callers.ts';
import type { IngestKind } from './deps.ts';
import { INGEST_ERRORS, type Operation, type Parameter, type Route, SPIN } from './route.ts';
import { NUMBER_POST, NUMBER_POSTS, STORED, STORED_EACH, STRATEGY_POST, STRATEGY_POSTS } from './schemas.ts';
import type { Writers } from './writers.ts';

/** How one element of an array ended. `http` is the status that it would have had as a single post. */
type ElementResult =
  | ({ readonly status: 'created' | 'duplicate'; readonly http: number; readonly id: string } & NotLive)
  | ({ readonly status: 'error'; readonly http: number } & Readonly<Record<string, unknown>>);

const STATUS = { created: 201, duplicate: 200 } as const;

/** Beside what was stored but becomes no live event. */
export interface NotLive {
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
