import { type ClusterTime, compareTimes, endOf, later, ORIGIN, startOf, timeOf } from '../protocol/position.ts';
import { type Change, createDecoder } from './change.ts';
import { createProgress } from './progress.ts';
import {
  afterChange,
  epochNow,
  FreshNeeded,
  majorityNow,
  next,
  open,
  type Plan,
  REWIND_AWAIT_MS,
  type Reading,
  type SessionOptions,
  type Take,
  walk,
} from './reading.ts';
import { type Interrupted, insertedBy, playBack, rollBack } from './rewind.ts';
import type { Timeline } from './timeline.ts';
import { secondsBefore } from './watch.ts';

/** A fresh state, caught up, with its cursor still open. */
export interface Caught {
  readonly timeline: Timeline;
  readonly reading: Reading;
}

/**
 * Builds a fresh state: opens the stream in the past, buffers, reads the database at rest, catches up, and plays the
 * buffer over the read. Throws FreshNeeded when a change in between asks for another start.
 */
export async function rewind(options: SessionOptions, plan: Plan): Promise<Caught> {
  // In this order: an epoch that changes after it was read lies above this time, so that the stream tells it.
  const majority = await majorityNow(options);
  const epoch = await epochNow(options);
  const wanted =
    plan.kind === 'after' ? plan.time : plan.seconds === 0 ? majority : secondsBefore(majority, plan.seconds);
  // Never above the majority time (a restored clock may have gone back), but for the tick after an invalidate.
  const highest = { t: majority.t, i: majority.i + 1 };
  const startAt = compareTimes(wanted, highest) > 0 ? majority : wanted;
  const skip = plan.kind === 'after' && startAt === wanted ? plan.skip : ORIGIN;

  const progress = createProgress(startAt, skip);
  const cursor = await open(options, startAt, options.batchSize);
  const reading: Reading = { cursor, decoder: createDecoder(), progress, readAhead: ORIGIN, asked: null };
  try {
    const changes: Change[] = [];
    const buffer: Take = (change) => {
      changes.push(change);
    };
    progress.opened(startAt, majority);
    walk(reading, cursor.first, options, buffer);
    while (progress.delivered < startOf(majority)) await next(reading, options, REWIND_AWAIT_MS, buffer);

    const beforeRead = changes.length;
    const reached = timeOf(progress.delivered);
    const after = compareTimes(reached, startAt) > 0 ? reached : startAt;
    const base = await options.readBase(options.client, after, insertedBy(changes, options.watch.sourceOf));
    const read = await majorityNow(options);
    while (!isReached(reading, read)) await next(reading, options, REWIND_AWAIT_MS, buffer);

    const state = options.createState();
    rollBack(state, base, changes);
    const floor = later(startOf(startAt), skip);
    const timeline = options.createTimeline(epoch, state, floor);
    const interrupted = playBack(timeline, changes, beforeRead);
    if (interrupted !== null) throw afterInterruption(interrupted, options);
    if (state.isExhausted()) throw new FreshNeeded('unknown', { kind: 'window', seconds: options.windowSeconds });
    return { timeline, reading };
  } catch (error) {
    await reading.cursor.close();
    throw error;
  }
}

/** What a rename brought was never seen; for the rest the window can be read again. */
function afterInterruption({ reason, change }: Interrupted, options: SessionOptions): FreshNeeded {
  const again: Plan = { kind: 'window', seconds: options.windowSeconds };
  return new FreshNeeded(reason, reason === 'unknown' ? again : afterChange(change));
}

/** Whether all that was read at rest at `read` has come by the stream too. */
function isReached({ progress, readAhead }: Reading, read: ClusterTime): boolean {
  const { delivered } = progress;
  return delivered >= readAhead && (delivered >= endOf(read) || compareTimes(timeOf(delivered), read) > 0);
}

/** Goes on with a timeline from where it stands. Throws FreshNeeded when the database has another epoch by now. */
export async function resume(options: SessionOptions, timeline: Timeline, before: Reading): Promise<Reading> {
  const { progress, readAhead } = before;
  const majority = await majorityNow(options);
  const epoch = await epochNow(options);
  if (epoch !== timeline.epoch) throw new FreshNeeded('restored', { kind: 'window', seconds: 0 });
  const startAt = progress.resumeAt();
  const cursor = await open(options, startAt, options.batchSize);
  progress.opened(startAt, majority);
  return { cursor, decoder: createDecoder(), progress, readAhead, asked: null };
}

/** Follows the stream until it fails, is stopped or needs a fresh state; never returns normally. */
export async function follow(options: SessionOptions, timeline: Timeline, reading: Reading): Promise<never> {
  const { progress } = reading;
  const take: Take = (change) => {
    const reason = timeline.apply(change, 'live');
    if (reason === null) return;
    progress.applied(change.position);
    throw afterInterruption({ reason, change }, options);
  };
  try {
    walk(reading, reading.cursor.first, options, take);
    for (;;) {
      await next(reading, options, options.awaitMs, take);
      if (progress.delivered >= reading.readAhead) timeline.state.settle();
      options.advanced();
    }
  } finally {
    await reading.cursor.close();
  }
}
