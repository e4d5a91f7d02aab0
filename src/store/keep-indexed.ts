import type { Log } from '../log/log.ts';
import type { Store } from './connect.ts';

/** Keeps the collections that matter indexed: at start, and when tables appear. */
interface Indexing {
  /** Resolves when all indexes were ensured or refused for the first time, however long that takes, or on `stop`. */
  readonly first: Promise<void>;
  /** Something new may lack its indexes; many calls at once make one attempt. */
  again(): void;
  stop(): void;
}

/** New collections often come by the dozen. */
const SETTLE_MS = 1_000;
const RETRY_MS = 3_000;

/** Starts the first attempt at once, and tries again while MongoDB is away. Refusals are logged with what to run. */
export function keepIndexed(store: Pick<Store, 'ensureIndexes'>, log: Log): Indexing {
  let timer: NodeJS.Timeout | null = null;
  let stopped = false;
  let running = false;
  const told = new Set<string>();
  let settle = (): void => undefined;
  const first = new Promise<void>((resolve) => {
    settle = resolve;
  });

  const later = (ms: number): void => {
    if (stopped || timer !== null) return;
    timer = setTimeout(() => {
      timer = null;
      if (running) later(ms);
      else void attempt();
    }, ms);
    timer.unref();
  };

  const attempt = async (): Promise<void> => {
    running = true;
    try {
      const { created, refused } = await store.ensureIndexes();
      if (created.length > 0) log.info('indexes', { created });
      for (const words of refused) {
        if (!told.has(words)) log.warn('index_refused', { words });
        told.add(words);
      }
      settle();
    } catch (error) {
      log.debug('index_refused', { words: error instanceof Error ? error.message : String(error) });
      later(RETRY_MS);
    } finally {
      running = false;
    }
  };

  void attempt();
  return {
    first,
    again: () => later(SETTLE_MS),
    stop() {
      stopped = true;
      settle();
      if (timer !== null) clearTimeout(timer);
    },
  };
}
