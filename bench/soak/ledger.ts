import { z } from 'zod';
import type { Tally } from './orders.ts';

const event = z.object({
  type: z.enum(['new_number', 'strategy_update', 'number_removed', 'number_corrected']),
  topic: z.string(),
  position: z.string(),
  prev: z.string().nullable(),
});
const snapshot = z.object({ type: z.literal('snapshot'), topic: z.string(), position: z.string() });
const reset = z.object({ type: z.literal('reset'), topic: z.string() });
const sync = z.object({ type: z.literal('sync'), position: z.string() });
const subscribed = z.object({
  type: z.literal('subscribed'),
  epoch: z.string(),
  position: z.string(),
  topics: z.array(z.object({ recovered: z.boolean() })),
});
const message = z.union([event, snapshot, reset, sync, subscribed, z.object({ type: z.string() })]);

/** Where a client goes on: everything up to here came on all its topics. */
export interface Stand {
  readonly epoch: string;
  readonly position: string;
}

/** What one client received, over all its connections. */
export interface Ledger {
  take(text: string): 'subscribed' | 'other';
  /** Null before the first acknowledgement. */
  stand(): Stand | null;
  /** A new connection begins, from this stand or anew. */
  begin(from: Stand | null): void;
}

/**
 * Checks what comes against the promise: per table each event once, in order, and each after the one that it names as
 * its predecessor. Counts into `total`.
 */
export function createLedger(total: Tally): Ledger {
  const lastEvent = new Map<string, string>();
  const shown = new Map<string, string>();
  let stand: Stand | null = null;
  let resuming = false;
  let live = false;

  const takeEvent = ({ topic, position, prev }: z.infer<typeof event>): void => {
    total.events++;
    const last = lastEvent.get(topic);
    const known = [last, shown.get(topic)]
      .filter((one) => one !== undefined)
      .sort()
      .at(-1);
    if (last !== undefined && position <= last) total.repeated++;
    else if (known !== undefined && prev !== null && prev > known) total.gaps++;
    lastEvent.set(topic, position);
    if (live && stand !== null) stand = { ...stand, position };
  };

  return {
    take(text) {
      const parsed = message.parse(JSON.parse(text));
      if ('prev' in parsed) takeEvent(parsed);
      else if (parsed.type === 'snapshot' && 'topic' in parsed && 'position' in parsed)
        shown.set(parsed.topic, parsed.position);
      else if (parsed.type === 'reset' && 'topic' in parsed) {
        lastEvent.delete(parsed.topic);
        shown.delete(parsed.topic);
      } else if (parsed.type === 'sync' && 'position' in parsed && live && stand !== null) {
        stand = { ...stand, position: parsed.position };
      } else if ('topics' in parsed) {
        live = true;
        stand = { epoch: parsed.epoch, position: parsed.position };
        if (resuming) {
          total.resumed += parsed.topics.length;
          total.unrecovered += parsed.topics.filter(({ recovered }) => !recovered).length;
        }
        return 'subscribed';
      }
      return 'other';
    },
    stand: () => stand,
    begin(from) {
      live = false;
      resuming = from !== null;
      if (from !== null) return;
      lastEvent.clear();
      shown.clear();
    },
  };
}
