import { ERRORS, ProtocolError } from '../../protocol/errors.ts';
import {
  type EmittedEvent,
  EVENT_OR_DATA_MISSING,
  type InsertResult,
  type NumberToStore,
  parseEmitEvent,
} from '../../roulette/ingest.ts';
import { type Answer, errorMembers, json, retryHeaders } from './answer.ts';
import type { HttpDeps } from './deps.ts';
import type { Exchange } from './exchange.ts';
import { parseJsonBody } from './json-body.ts';
import { gate } from './limits.ts';
import type { HttpOptions } from './options.ts';
import type { Route } from './router.ts';
import { type Caller, callerOf, type Writers } from './writers.ts';

const PATTERN = '/emit-event';
const DONE = { success: true, message: 'Evento emitido com sucesso' };
const FAILED = 'Erro interno ao processar evento';

/**
 * `POST /emit-event`, as RunCash's first scrapers call it. `store` writes what it brings; `confirm` is for scrapers that
 * also insert: nothing is written, and the answer waits until a majority read finds the number.
 */
export function emitEventRoute(
  deps: Pick<HttpDeps, 'confirmNumber' | 'observe'>,
  writers: Writers,
  options: HttpOptions,
): Route {
  const reads = gate(options.maxPendingReads, 'overloaded');
  const confirm = async (caller: Caller, number: NumberToStore): Promise<void> => {
    try {
      const found = await reads.run(1, () => deps.confirmNumber(number, options.confirmWaitMs));
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
      if (options.emitEvent === 'store') check(await writers.strategies(caller, [event.strategy]));
      return;
    }
    if (options.emitEvent === 'confirm') await confirm(caller, event.number);
    else check(await writers.numbers(caller, [event.number]));
  };
  return {
    pattern: PATTERN,
    fail: legacyFailure,
    post: async (exchange) => {
      const caller = callerOf(exchange, writers.admit(exchange, PATTERN));
      const bytes = await exchange.body();
      // The first server read no body of another type, and so missed the event and its data.
      const body = isJson(exchange) ? parseJsonBody(bytes) : undefined;
      const context = writers.context(exchange.headers.get('idempotency-key') ?? null);
      await take(
        caller,
        writers.read('number', caller, () => parseEmitEvent(body, context)),
      );
      return json(200, DONE);
    },
  };
}

const isJson = (exchange: Exchange): boolean => /^application\/json\b/i.test(exchange.header('content-type').trim());

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
  if (status >= 500) return json(500, { error: FAILED }, retryHeaders(error));
  return json(status, { error: error.message, ...errorMembers(error) }, retryHeaders(error));
}
