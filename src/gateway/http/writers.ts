import { randomUUID } from 'node:crypto';
import type { ProtocolError } from '../../protocol/errors.ts';
import type { IngestContext, InsertResult, NumberToStore, StrategyToStore } from '../../roulette/ingest.ts';
import { asProtocolError } from '../door/answer.ts';
import type { Exchange } from '../door/exchange.ts';
import { gate, limiter } from '../door/limits.ts';
import type { HttpDeps, IngestKind } from './deps.ts';
import { needReady } from './health.ts';
import { type IngestCheck, ingestCheck } from './ingest-auth.ts';
import type { HttpOptions } from './options.ts';

type WriterDeps = Pick<
  HttpDeps,
  'insertNumbers' | 'insertStrategies' | 'observe' | 'log' | 'resolve' | 'nameOf' | 'feedStatus'
>;

/** The way from an admitted caller to the database: limits, the call itself, and what is counted of it. */
export interface Writers {
  /** Names the caller. Throws `unauthorized` or `bad_origin`, counted. */
  readonly admit: (exchange: Exchange, route: string) => string;
  readonly context: (idempotencyKey: string | null) => IngestContext;
  /** Stores items; one result each. Throws `rate_limited`, `overloaded` or what the database failed with. */
  readonly numbers: (caller: Caller, items: readonly NumberToStore[]) => Promise<readonly InsertResult[]>;
  readonly strategies: (caller: Caller, items: readonly StrategyToStore[]) => Promise<readonly InsertResult[]>;
  /** Runs a reader of a body, and counts what it refuses. */
  readonly read: <T>(kind: IngestKind, caller: Caller, parse: () => T) => T;
  /** Counts an item that failed before it came to the database. */
  readonly refused: (kind: IngestKind, caller: Caller, error: unknown) => void;
}

/** Who posts: the name of the key, and what the rate limit counts by. */
export interface Caller {
  readonly key: string;
  readonly limitKey: string;
}

export const callerOf = (exchange: Exchange, key: string): Caller => ({
  key,
  // Callers without a key share a name, not an allowance.
  limitKey: key === 'open' ? `open ${exchange.visitor.key}` : key,
});

/** Between two log lines about the same failure: a database that is down must not fill the disk. */
const LOG_INTERVAL_MS = 5_000;

export function writersOf(deps: WriterDeps, options: HttpOptions): Writers {
  const check: IngestCheck = ingestCheck(options);
  const pending = gate(options.maxPendingWrites, 'overloaded');
  const limit = limiter(options.ingestPerSecond, options.ingestBurst);
  const loggedAt = new Map<string, number>();

  const logFailure = (kind: IngestKind, key: string, error: ProtocolError, items: number): void => {
    const now = performance.now();
    const last = loggedAt.get(error.code);
    if (last !== undefined && now - last < LOG_INTERVAL_MS) return;
    loggedAt.set(error.code, now);
    deps.log.warn('ingest_failed', { kind, key, items, code: error.code, err: error.cause });
  };

  const store = async <T>(
    kind: IngestKind,
    caller: Caller,
    items: readonly T[],
    insert: (items: readonly T[]) => Promise<readonly InsertResult[]>,
  ): Promise<readonly InsertResult[]> => {
    if (items.length === 0) return [];
    const failAll = (error: ProtocolError): never => {
      for (const _ of items) deps.observe.ingest(kind, caller.key, error.code);
      throw error;
    };
    try {
      limit(caller.limitKey, items.length);
      const startedAt = performance.now();
      const results = await pending.run(items.length, () => insert(items));
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
      return failAll(error);
    }
  };

  const refused: Writers['refused'] = (kind, caller, error) =>
    deps.observe.ingest(kind, caller.key, asProtocolError(error).code);

  return {
    admit: (exchange, route) => {
      try {
        return check(exchange);
      } catch (error) {
        deps.observe.unauthorized(route);
        throw error;
      }
    },
    context: (idempotencyKey) => ({
      nowMs: Date.now(),
      resolve: (reference) => {
        // Names are not known yet: to call this one unknown would tell the caller to give up.
        needReady(deps);
        return deps.resolve(reference);
      },
      nameOf: (table) => deps.nameOf(table),
      idempotencyKey,
      freshKey: randomUUID,
    }),
    numbers: (caller, items) => store('number', caller, items, (all) => deps.insertNumbers(all)),
    strategies: (caller, items) => store('strategy', caller, items, (all) => deps.insertStrategies(all)),
    read: (kind, caller, parse) => {
      try {
        return parse();
      } catch (error) {
        refused(kind, caller, error);
        throw error;
      }
    },
    refused,
  };
}
