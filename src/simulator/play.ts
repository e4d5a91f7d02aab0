import type { Due, Sendable, Sender, Stamped } from './round.ts';
import type { Analyser } from './strategy.ts';
import type { TallyKeeper } from './tally.ts';

/** Items under way or waiting behind one of their table; beyond, the croupier waits too. */
const MAX_WAITING = 5000;
const FIRST_RETRY_MS = 200;
const MAX_RETRY_MS = 5000;

export interface PlayOptions {
  /** How many times faster than the schedule. */
  readonly speed: number;
  /** How long one item is tried before it is given up, milliseconds. */
  readonly giveUpMs: number;
  /** Ends the play; what is under way is still finished, with all its attempts. */
  readonly signal: AbortSignal;
  /** Somebody waits for the end: from now on a failed attempt is the last. */
  readonly hurry: AbortSignal;
}

export interface PlayDeps {
  readonly sender: Sender;
  readonly tally: TallyKeeper;
  /** Makes strategy states of the numbers; null sends numbers only. */
  readonly analyser: Analyser | null;
  /** Told about everything that the other side took. */
  readonly acknowledged: (item: Stamped, id: string | null) => void;
  readonly now: () => number;
  /** Resolves after so many milliseconds, or at once when the signal ends. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** Sends everything of a schedule at its time. Items of one table go one after the other. Never rejects. */
export async function play(schedule: Iterable<Due>, options: PlayOptions, deps: PlayDeps): Promise<void> {
  const { signal } = options;
  const startMs = deps.now();
  const chains = new Map<string, Promise<void>>();
  const lastTimes = new Map<string, number>();
  // A table has one result at a time: equal times would leave the order of its numbers open.
  const freshTime = (table: string): number => {
    const timeMs = Math.max(deps.now(), (lastTimes.get(table) ?? 0) + 1);
    lastTimes.set(table, timeMs);
    return timeMs;
  };
  let roomMade = (): void => undefined;
  const enqueue = (item: Sendable, timestampMs: number): void => {
    const stamped: Stamped = item.kind === 'number' ? { ...item, timestampMs } : { ...item, timestampMs };
    deps.tally.sent();
    const before = chains.get(item.table) ?? Promise.resolve();
    const chain = before.then(async () => {
      await deliver(stamped, options, deps);
      roomMade();
    });
    chains.set(item.table, chain);
  };
  const room = async (): Promise<void> => {
    while (deps.tally.read().waiting >= MAX_WAITING && !signal.aborted) {
      await new Promise<void>((resolve) => {
        roomMade = resolve;
      });
    }
  };
  for (const due of schedule) {
    const remainingMs = startMs + due.atMs / options.speed - deps.now();
    if (remainingMs > 0) await deps.wait(remainingMs, signal);
    await room();
    if (signal.aborted) break;
    const timestampMs = due.item.timestampMs ?? freshTime(due.item.table);
    enqueue(due.item, timestampMs);
    const state = deps.analyser?.follow(due.item) ?? null;
    if (state !== null) enqueue(state, timestampMs);
  }
  await Promise.all(chains.values());
}

async function deliver(item: Stamped, options: PlayOptions, deps: PlayDeps): Promise<void> {
  const { tally } = deps;
  const startMs = deps.now();
  for (let attempt = 0; ; attempt += 1) {
    const outcome = await deps.sender.send(item);
    switch (outcome.kind) {
      case 'acknowledged':
      case 'duplicate':
        tally.settled(outcome.kind === 'duplicate' ? 'duplicates' : 'acknowledged');
        deps.acknowledged(item, outcome.id);
        return;
      case 'refused':
        tally.error(outcome.reason);
        tally.settled('refused');
        return;
      case 'failed': {
        tally.error(outcome.reason);
        const backoffMs = outcome.retryAfterMs ?? Math.min(FIRST_RETRY_MS * 2 ** attempt, MAX_RETRY_MS);
        if (options.hurry.aborted || deps.now() + backoffMs - startMs > options.giveUpMs) {
          tally.settled('lost');
          return;
        }
        await deps.wait(backoffMs, options.hurry);
        break;
      }
      default:
        outcome satisfies never;
    }
  }
}
