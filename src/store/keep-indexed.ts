import type { Log } from '../log/log.ts';
import type { Store } from './connect.ts';

/** Keeps the collections that matter indexed: at start, and when tables appear. */
export interface Indexing {
  /** Resolves after the first attempt, whether or not it came to an end: reads work without, but slowly. */
  readonly first: Promise<void>;
  /** Something new may lack its indexes; many calls at once make one attempt. */
  again(): void;
  stop(): void;
}

/** New collections often come by the dozen. */
const SETTLE_MS = 1_000;
const RETRY_MS = 10_000;

/** Starts the first attempt at once, and tries again while MongoDB is away. Refusals are logged with what to run. */
export function keepIndexed(store: Pick<Store, 'ensureIndexes'>, log: Log): Indexing {
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;
  const told = new Set<string>();

  const later = (ms: number): void => {
    if (stopped || timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      void attempt();
    }, ms);
    timer.unref();
  };

  const attempt = async (): Promise<void> => {
    try {
      const { created, refused } = await store.ensureIndexes();
      if (created.length > 0) log.info('indexes', { created });
      for (const words of refused) {
        if (!told.has(words)) log.warn('index_refused', { words });
        told.add(words);
      }
    } catch (error) {
      log.debug('index_refused', { words: error instanceof Error ? error.message : String(error) });
      later(RETRY_MS);
    }
  };

  return {
    first: attempt(),
    again: () => later(SETTLE_MS),
    stop() {
      stopped = true;
      if (timer !== null) clearTimeout(timer);
    },
  };
}
