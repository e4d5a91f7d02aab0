import { ProtocolError } from '../protocol/errors.ts';
import type { InsertResult } from '../roulette/ingest.ts';

type Insert<T> = (items: readonly T[]) => Promise<InsertResult[]>;

interface Waiting<T> {
  readonly items: readonly T[];
  readonly resolve: (results: InsertResult[]) => void;
  readonly reject: (error: unknown) => void;
}

export interface GroupLimits {
  /** Items of one group; a single call may be larger and then is a group of its own. */
  readonly maxGroup: number;
  /** Items of a call that waits for one group of larger calls at most. */
  readonly small: number;
  /** Items that wait for their group; beyond it a call is refused with `overloaded`. */
  readonly maxWaiting: number;
}

export const GROUP_LIMITS: GroupLimits = { maxGroup: 500, small: 50, maxWaiting: 20_000 };

/** Half a flush or so: what a refused caller should wait. */
const RETRY_MS = 500;

/**
 * Groups concurrent inserts: while one is under way the next ones gather and go together, since the journal flush is
 * the cost (a real 4.4: 2,000/s singly, 87,000/s in one insert). A lone insert goes at once. Each caller gets its own
 * results; the inserts are unordered, so that a document that fails does not touch its neighbours. When nothing is
 * known of a group for a reason that one caller's documents may have caused, its calls are tried one by one. Small calls
 * and large ones take turns, so that who posts a number does not wait for all that another one posts by the hundred.
 */
export function groupCommit<T>(insert: Insert<T>, limits: GroupLimits = GROUP_LIMITS): Insert<T> {
  const small: Waiting<T>[] = [];
  const large: Waiting<T>[] = [];
  let waitingItems = 0;
  let flying = false;

  const single = async (call: Waiting<T>): Promise<void> => {
    try {
      call.resolve(await insert(call.items));
    } catch (error) {
      call.reject(error);
    }
  };

  const fly = async (group: readonly Waiting<T>[]): Promise<void> => {
    const [only] = group;
    if (only !== undefined && group.length === 1) return await single(only);
    let results: InsertResult[];
    try {
      results = await insert(group.flatMap((call) => call.items));
    } catch (error) {
      // The database is away, or did not confirm: that is every caller's answer. Anything else may be one's own doing.
      if (error instanceof ProtocolError && error.code !== 'internal') {
        for (const call of group) call.reject(error);
        return;
      }
      for (const call of group) await single(call);
      return;
    }
    let at = 0;
    for (const call of group) {
      call.resolve(results.slice(at, at + call.items.length));
      at += call.items.length;
    }
  };

  /** The calls that go next: as many as fit, at least one. */
  const gather = (waiting: Waiting<T>[]): Waiting<T>[] => {
    let count = 0;
    let items = 0;
    for (const call of waiting) {
      if (count > 0 && items + call.items.length > limits.maxGroup) break;
      items += call.items.length;
      count++;
    }
    waitingItems -= items;
    return waiting.splice(0, count);
  };

  const run = async (): Promise<void> => {
    if (flying) return;
    flying = true;
    while (waitingItems > 0) {
      for (const waiting of [small, large]) if (waiting.length > 0) await fly(gather(waiting));
    }
    flying = false;
  };

  return (items) =>
    new Promise((resolve, reject) => {
      if (waitingItems > 0 && waitingItems + items.length > limits.maxWaiting) {
        reject(new ProtocolError('overloaded', { retryMs: RETRY_MS }));
        return;
      }
      (items.length <= limits.small ? small : large).push({ items, resolve, reject });
      waitingItems += items.length;
      void run();
    });
}
