import { z } from 'zod';
import { type Answer, errorHeaders, errorMembers, json } from '../gateway/door/answer.ts';
import { type Exchange, parseJsonBody } from '../gateway/door/exchange.ts';
import { gate } from '../gateway/door/limits.ts';
import type { Caller } from '../gateway/http/callers.ts';
import { type Operation, type Route, SPIN } from '../gateway/http/route.ts';
import type { RouteTools } from '../gateway/http/routes.ts';
import { named } from '../gateway/http/schemas.ts';
import { ERRORS, ProtocolError } from '../protocol/errors.ts';
import { isDocument, type RawDocument } from '../roulette/bson-value.ts';
import {
  type IngestContext,
  type InsertResult,
  type NumberToStore,
  numberPost,
  parseNumber,
  parseStrategy,
  type StrategyToStore,
  strategyPost,
} from '../roulette/ingest.ts';
import { isBackfill } from '../roulette/number.ts';

/** What `POST /emit-event` does with a number. */
export interface EmitEventOptions {
  /** Stores the event, or answers once the scraper's own insert is found. */
  readonly emitEvent: 'store' | 'confirm';
  /** How long `confirm` looks for the number, milliseconds. */
  readonly confirmWaitMs: number;
}

export interface EmitEventDeps {
  /** Whether a majority read finds the number within `waitMs`. */
  confirmNumber(item: NumberToStore, waitMs: number): Promise<boolean>;
}

/** What errors of these routes look like: one sentence, and beside it the members of version 1. */
export const LEGACY_ERROR = named('LegacyError', z.looseObject({ error: z.string() }));

/** The body of `POST /emit-event`. */
export const emitEventPost = z
  .object({
    event: z.enum(['new_number', 'strategy_update', 'global_update', 'global_strategy_update']),
    data: z.union([numberPost, strategyPost]),
  })
  .meta({ id: 'EmitEventPost' });

/** What an event stores. */
type EmittedEvent =
  | { readonly kind: 'number'; readonly number: NumberToStore }
  | { readonly kind: 'strategy'; readonly strategy: StrategyToStore };

/** The answer to a payload without event or data. */
export const EVENT_OR_DATA_MISSING = 'Evento ou dados ausentes no payload';

/**
 * Reads the body of `POST /emit-event`. Throws ProtocolError `invalid`: with the first server's sentence as its message
 * when event or data are missing, else with every problem by path; or `forbidden`.
 */
export function parseEmitEvent(body: unknown, context: IngestContext): EmittedEvent {
  const { event, data }: RawDocument = isDocument(body) ? body : {};
  if (!event || !data) {
    const missing = [...(event ? [] : ['event']), ...(data ? [] : ['data'])];
    const problems = missing.map((path) => ({ path, message: 'is required' }));
    throw new ProtocolError('invalid', { message: EVENT_OR_DATA_MISSING, problems });
  }
  switch (event) {
    case 'new_number':
    case 'global_update':
      return { kind: 'number', number: parseNumber(data, context, 'data') };
    case 'strategy_update':
    case 'global_strategy_update':
      return { kind: 'strategy', strategy: parseStrategy(data, context, 'data') };
    default: {
      const message = 'must be new_number or strategy_update';
      throw new ProtocolError('invalid', { problems: [{ path: 'event', message }] });
    }
  }
}

const OPERATION: Operation = {
  group: 'Legacy',
  summary: 'A number or strategy as the first scrapers post it',
  access: 'ingest',
  body: [named('EmitEventPost', emitEventPost)],
  example: { event: 'new_number', data: SPIN },
  answers: {
    '200': named(
      'LegacyEmitted',
      z.strictObject({ success: z.literal(true), message: z.string(), live: z.literal(false).exactOptional() }),
    ),
  },
  errors: [400, 401, 403, 409, 413, 429],
  errorSchema: LEGACY_ERROR,
};

const PATTERN = '/emit-event';
const DONE = { success: true, message: 'Evento emitido com sucesso' };
/** Said of what is in the history now, and of which no subscriber hears. */
const STORED_ONLY = {
  success: true,
  message: 'Evento armazenado, antigo demais para ser emitido ao vivo',
  live: false,
};
/** Said of a strategy that `confirm` leaves to its scraper: whether it was ever stored is not known here. */
const LEFT_TO_SCRAPER = { success: true, message: 'Evento recebido, não armazenado: EMIT_EVENT=confirm', live: false };
const FAILED = 'Erro interno ao processar evento';

/**
 * `POST /emit-event`, as RunCash's first scrapers call it. `store` writes what it brings; `confirm` is for scrapers that
 * also insert: nothing is written, and the answer waits until a majority read finds the number.
 */
export function emitEventRoute(
  own: EmitEventDeps,
  { deps, options, writers }: RouteTools,
  { emitEvent, confirmWaitMs }: EmitEventOptions,
): Route {
  const reads = gate(options.maxPendingReads, 'overloaded');
  const confirm = async (caller: Caller, number: NumberToStore): Promise<void> => {
    try {
      const found = await reads.run(1, () => own.confirmNumber(number, confirmWaitMs));
      if (!found) throw new ProtocolError('write_unknown', { message: 'The number was not found in MongoDB.' });
      deps.observe.ingest('number', caller.key, 'confirmed');
    } catch (error) {
      writers.refused('number', caller, error);
      throw error;
    }
  };
  const take = async (caller: Caller, event: EmittedEvent): Promise<void> => {
    if (event.kind === 'strategy') {
      // A strategy is a state, not a result: a scraper that inserts its own meets no second copy to wait for.
      if (emitEvent === 'store') check(await writers.strategies(caller, [event.strategy]));
      return;
    }
    if (emitEvent === 'confirm') await confirm(caller, event.number);
    else check(await writers.numbers(caller, [event.number]));
  };
  return {
    pattern: PATTERN,
    atRest: ['post'],
    operations: { post: OPERATION },
    fail: legacyFailure,
    post: async (exchange) => {
      const { caller, body, context } = await writers.receive('number', exchange, PATTERN, jsonOrNothing);
      const event = writers.read('number', caller, () => parseEmitEvent(body, context));
      await take(caller, event);
      if (event.kind === 'strategy' && emitEvent === 'confirm') return json(200, LEFT_TO_SCRAPER);
      const isOld = event.kind === 'number' && isBackfill(event.number.timestampMs, Date.now(), options.liveMaxAgeMs);
      return json(200, isOld ? STORED_ONLY : DONE);
    },
  };
}

/** The first server read no body of another type, and so missed the event and its data. */
const jsonOrNothing = (exchange: Exchange): ((bytes: Uint8Array) => unknown) =>
  /^application\/json\b/i.test(exchange.header('content-type').trim()) ? parseJsonBody : () => undefined;

function check([result]: readonly InsertResult[]): void {
  if (result === undefined) throw new Error('no result for one item');
  if (result.status === 'error') throw result.error;
}

/** The legacy bodies exactly; where the first server had no answer of its own, the same shape with a code. */
function legacyFailure(error: ProtocolError): Answer {
  if (error.message === EVENT_OR_DATA_MISSING || error.code === 'bad_json') {
    return json(400, { error: EVENT_OR_DATA_MISSING });
  }
  const { status } = ERRORS[error.code];
  if (status >= 500) return json(500, { error: FAILED }, errorHeaders(error));
  return json(status, { error: error.message, ...errorMembers(error) }, errorHeaders(error));
}
