import { setTimeout as sleep } from 'node:timers/promises';
import { beginFresh, closeConnection, type Following, NO_FAILURES } from './following.ts';
import { backoffMs, type ClassifiedError, classify, isUnknownStage } from './policy.ts';
import { afterChange, ChangeError, type Fresh, type Plan } from './rewind.ts';
import type { Step } from './step.ts';

/** The same error at the same place more often than this needs a fresh state, not another try. */
const MAX_SAME_ERROR = 5;
const MAX_SAME_TOKEN = 3;
/** And so many errors of any kind there. */
const MAX_SAME_PLACE = 20;
/** Fresh states that follow each other go on at once so often, and then like failures. */
const MAX_FRESH_AT_ONCE = 3;

/** Nothing of the past. */
const FROM_NOW: Plan = { kind: 'window', seconds: 0 };

/** Waits, but not for a follower that is to end. */
const pause = ({ signal }: Following, ms: number): Promise<void> =>
  sleep(ms, undefined, { signal }).catch(() => undefined);

function pauseAfterFailure(following: Following): Promise<void> {
  const { random, timings } = following.options;
  const { attempt } = following.failures;
  following.failures = { ...following.failures, attempt: attempt + 1 };
  return pause(following, backoffMs(attempt, random(), timings.backoffBaseMs, timings.backoffCapMs));
}

/** The window of the next rewind after lost history: halved, and again, down to now. */
const narrower = ({ plan }: Following, divisor: number): Plan =>
  plan.kind === 'window' ? { kind: 'window', seconds: Math.floor(plan.seconds / divisor) } : FROM_NOW;

/** Counts a failure at one place; true when it came there too often. */
function isStuck(following: Following, name: string, limit: number): boolean {
  const at = following.followed?.progress.delivered ?? 'boot';
  const { failures } = following;
  const before = failures.at === at ? failures.times : NO_FAILURES.times;
  const own = (before.get(name) ?? 0) + 1;
  const times = new Map(before).set(name, own);
  const all = [...times.values()].reduce((sum, count) => sum + count, 0);
  const stuck = own > limit || all > MAX_SAME_PLACE;
  following.failures = stuck ? NO_FAILURES : { ...failures, at, times };
  return stuck;
}

/** The past takes longer than it may: a quarter of it with half the time, then none of it. */
function* recoverLate(following: Following): Generator<Step, void> {
  const { plan, budgetMs, options } = following;
  const isFirst = budgetMs === options.timings.rewindBudgetMs && plan.kind === 'window';
  const next = isFirst ? narrower(following, 4) : FROM_NOW;
  following.budgetMs = isFirst ? budgetMs / 2 : budgetMs;
  const reach = next.kind === 'window' ? next.seconds : 0;
  const words = `reading the past takes too long: ${reach} s of it now`;
  yield* beginFresh(following, { reason: 'history_lost', plan: next }, words);
}

/** The log does not reach back so far. */
async function* recoverLostHistory(following: Following, words: string): AsyncGenerator<Step, void> {
  const { followed, plan } = following;
  const isLadder = followed === null && plan.kind === 'window' && plan.seconds > 0;
  const next = followed === null ? narrower(following, 2) : FROM_NOW;
  yield* beginFresh(following, { reason: 'history_lost', plan: next }, words);
  // The server is well: it only says that its log does not reach back so far. The ladder ends at "now".
  if (!isLadder) await pauseAfterFailure(following);
}

/** What may be over at the next try; a fresh state when it was tried too often at one place. */
async function* retry(following: Following, found: ClassifiedError): AsyncGenerator<Step, void> {
  const limit = found.class === 'token' ? MAX_SAME_TOKEN : MAX_SAME_ERROR;
  if (found.class !== 'away' && isStuck(following, found.name, limit)) {
    // Only a fresh state gets past an error that stays at one place.
    const fresh: Fresh = { reason: 'history_lost', plan: FROM_NOW };
    yield* beginFresh(following, fresh, `failed too often at one place: ${found.words}`);
  }
  await pauseAfterFailure(following);
}

/** Decides what to do about an error; ends when the loop may go on. */
export async function* recover(following: Following, error: unknown): AsyncGenerator<Step, void> {
  const { random, timings } = following.options;
  const givenUp = following.connection?.givenUp ?? null;
  if (following.isLate) {
    await closeConnection(following);
    return yield* recoverLate(following);
  }
  const found = classify(error);
  const reason = givenUp ?? found.words;
  yield { kind: 'reopened', name: givenUp === null ? found.name : 'watchdog', words: reason };
  yield { kind: 'phase', phase: following.followed === null ? 'connecting' : 'degraded', reason };
  // Another server may be there when the network is back; and a client whose first connect failed stays closed.
  const isOurs = error instanceof ChangeError;
  if ((found.code === null && !isOurs) || givenUp !== null) await closeConnection(following);
  if (isOurs) {
    // The state may have taken half of it: another try would tell its number as a correction.
    yield* beginFresh(following, { reason: 'history_lost', plan: afterChange(error.change) }, found.words);
    return await slowDown(following);
  }
  if (following.splits !== false && isUnknownStage(found)) {
    following.splits = false;
    return;
  }
  if (found.class === 'configuration') {
    await closeConnection(following);
    return await pause(following, timings.configurationRetryMs * (1 + 2 * random()));
  }
  if (found.class === 'history_gone') yield* recoverLostHistory(following, found.words);
  else yield* retry(following, found);
}

/** One fresh state after the other is slowed down like a failure. */
export async function slowDown(following: Following): Promise<void> {
  const { nowMs, timings } = following.options;
  const now = nowMs();
  following.freshes = now - following.freshMs < timings.freshApartMs ? following.freshes + 1 : 0;
  following.freshMs = now;
  const extra = following.freshes - MAX_FRESH_AT_ONCE;
  if (extra > 0) await pause(following, backoffMs(extra, 0.5, timings.backoffBaseMs, timings.backoffCapMs));
}
