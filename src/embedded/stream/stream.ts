import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { type Operation, pause, yieldTurn } from '../operation.ts';
import { type ClusterTime, compareTimes } from '../oplog/clock.ts';
import type { Oplog, OplogEntry } from '../oplog/oplog.ts';
import { highWaterMark, parseToken } from '../oplog/tokens.ts';
import { unlimited } from '../values/effort.ts';
import { MAX_DOCUMENT_BYTES } from '../wire/messages.ts';
import {
  type EventImages,
  type EventOptions,
  encodeEvent,
  eventHeader,
  invalidateEvent,
  type StreamOperation,
  tokenOf,
} from './event.ts';
import type { EventPipeline } from './pipeline.ts';
import { inScope, invalidates, type StreamScope } from './scope.ts';
import { isFragmentOf, splitEvent } from './split.ts';
import type { StreamStart } from './start.ts';

export interface StreamBatch {
  readonly documents: Uint8Array[];
  readonly token: string;
  /** The stream is over: its cursor's id becomes 0. */
  readonly ended: boolean;
}

export interface ChangeStream {
  /** What is there now, at most `limit` events: never waits for more, but lets others run when there is much to look at. */
  take(limit: number, operation: Operation): Promise<StreamBatch>;
  /** Calls back when the oplog has more; the returned function gives up. */
  whenMore(callback: () => void): () => void;
}

export interface StreamSettings {
  readonly oplog: Oplog;
  readonly scope: StreamScope;
  readonly pipeline: EventPipeline;
  readonly start: StreamStart;
  readonly options: EventOptions;
  /** The documents that the client asked to see beside the change. @throws CommandError 51770 when one is required but gone */
  images(operation: StreamOperation): EventImages;
  /** Entries that may be looked at in a second, when a test slows the server down. */
  scanRate(): number | undefined;
}

interface Pending {
  readonly token: string;
  readonly raw: Uint8Array;
}

const tooLarge = (size: number): CommandError =>
  new CommandError(
    CODES.BSONObjectTooLarge,
    `BSONObj size: ${size} is invalid. Size must be between 0 and ${MAX_DOCUMENT_BYTES}(16MB)`,
  );

/** Makes the events of operations, in the log's order; those up to the point to resume after are left out. */
function createProducer({ scope, pipeline, options, start, images }: StreamSettings) {
  let { after } = start;
  let ended = false;

  /** Whether the event at `place` comes after the resume point. @throws CommandError 280 when the point is not there */
  const isPastStart = (place: string): boolean => {
    if (after === undefined) return true;
    if (place === after) {
      after = undefined;
      return false;
    }
    if (place < after) return false;
    throw new CommandError(
      CODES.ChangeStreamFatalError,
      `cannot resume stream; the resume token was not found. {_data: "${after}"}`,
      { errorLabels: ['NonResumableChangeStreamError'] },
    );
  };

  const changeEvents = (entry: OplogEntry, operation: StreamOperation, place: string): Pending[] => {
    // A stream may be resumed in the middle of a split event: its later fragments are still to come.
    const fragment = after !== undefined && isFragmentOf(after, place) ? after : '';
    if (fragment !== '') after = undefined;
    if (!isPastStart(place) || !pipeline.admits(eventHeader(operation))) return [];
    // A cursor that failed at an event would fail there for ever: a real server's time limit is for the waiting alone.
    const raw = unlimited(() => encodeEvent(entry, operation, place, images(operation), options));
    const result = pipeline.apply(raw);
    if (result === null) return [];
    if (pipeline.splitsLargeEvents) return splitEvent(result, place).filter((part) => part.token > fragment);
    if (result.length > MAX_DOCUMENT_BYTES) throw tooLarge(result.length);
    return [{ token: place, raw: result }];
  };
  const endEvents = (entry: OplogEntry, operation: StreamOperation, index: number): Pending[] => {
    const { token, raw } = invalidateEvent(entry, operation, index, options);
    if (!isPastStart(token)) return [];
    ended = true;
    const result = pipeline.admits({ operationType: 'invalidate' }) ? pipeline.apply(raw) : null;
    return result === null ? [] : [{ token, raw: result }];
  };
  return {
    /** The stream is over with what was made last. */
    hasEnded: () => ended,
    produce(entry: OplogEntry, operation: StreamOperation, index: number): Pending[] {
      if (!inScope(scope, operation, options.showExpandedEvents)) return [];
      const ends = invalidates(scope, operation);
      if (after === undefined && !ends && !pipeline.admits(eventHeader(operation))) return [];
      const events = changeEvents(entry, operation, tokenOf(entry, operation, index, options.tokenVersion));
      return ends ? [...events, ...endEvents(entry, operation, index)] : events;
    },
  };
}

/** Goes through the oplog, one operation after the other. */
function createOplogCursor({ oplog, start }: StreamSettings) {
  let { sequence } = start;
  let operationIndex = 0;
  return {
    /**
     * The next operation and its place in its entry, 'none' where there is nothing to tell, undefined at the end of the
     * log.
     *
     * @throws CommandError 136 when the oplog does not go back there any more
     */
    next():
      | { readonly entry: OplogEntry; readonly operation: StreamOperation; readonly index: number }
      | 'none'
      | undefined {
      if (sequence >= oplog.committed.nextSequence) return undefined;
      const entry = oplog.entry(sequence);
      if (entry === undefined) {
        throw new CommandError(
          CODES.CappedPositionLost,
          'Error in $cursor stage :: caused by :: CollectionScan died due to failure to restore tailable cursor position.',
        );
      }
      const index = operationIndex;
      const operation = entry.operations[index];
      const isSkipped = compareTimes(entry.time, start.time) < 0;
      if (isSkipped || index + 1 >= entry.operations.length) {
        sequence += 1;
        operationIndex = 0;
      } else operationIndex += 1;
      return isSkipped || operation === undefined || operation.kind === 'noop' ? 'none' : { entry, operation, index };
    },
    whenMore: (callback: () => void) => oplog.whenCommitted(sequence, callback),
  };
}

/** A cursor over the oplog that turns each entry into events once, in the log's order. */
export function createChangeStream(settings: StreamSettings): ChangeStream {
  const { oplog, options } = settings;
  const producer = createProducer(settings);
  const cursor = createOplogCursor(settings);
  let { token } = settings.start;
  let tokenTime: ClusterTime = parseToken(token).clusterTime;
  let queued: Pending[] = [];
  let looked = 0;

  /** Looks at one more operation. False at the end of the log. */
  const advance = (): boolean => {
    const next = cursor.next();
    if (next === undefined) return false;
    if (next !== 'none') queued = producer.produce(next.entry, next.operation, next.index);
    looked += 1;
    return true;
  };
  const rest = (operation: Operation): Promise<void> | undefined => {
    const rate = settings.scanRate();
    // After every event: a few large ones take longer than a turn may.
    return rate === undefined ? yieldTurn(operation) : slowed(looked, rate, operation);
  };
  /** Everything that is committed was looked at: the token says so, unless the last event says as much. */
  const markAllSeen = (): void => {
    const { time } = oplog.committed;
    if (compareTimes(time, tokenTime) <= 0) return;
    token = highWaterMark(time, options.tokenVersion);
    tokenTime = time;
  };
  return {
    async take(limit, operation) {
      const documents: Uint8Array[] = [];
      let bytes = 0;
      for (;;) {
        const next = queued[0];
        if (next === undefined && producer.hasEnded()) return { documents, token, ended: true };
        if (documents.length >= limit) break;
        if (next === undefined) {
          if (!advance()) {
            markAllSeen();
            break;
          }
          const resting = rest(operation);
          if (resting !== undefined) await resting;
          continue;
        }
        if (documents.length > 0 && bytes + next.raw.length > MAX_DOCUMENT_BYTES) break;
        queued = queued.slice(1);
        documents.push(next.raw);
        bytes += next.raw.length;
        token = next.token;
        tokenTime = parseTime(token);
      }
      return { documents, token, ended: false };
    },
    whenMore: cursor.whenMore,
  };
}

/** Waits as long as a server of that many entries per second would have needed; a batch of small ones at a time. */
async function slowed(looked: number, rate: number, operation: Operation): Promise<void> {
  const step = Math.ceil(rate / 100);
  if (looked % step === 0) await pause(operation, (step / rate) * 1000);
}

/** The time in a token that this server wrote. */
function parseTime(token: string): ClusterTime {
  return { t: Number.parseInt(token.slice(2, 10), 16), i: Number.parseInt(token.slice(10, 18), 16) };
}
