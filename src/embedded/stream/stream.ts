import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { type Operation, pause, yieldTurn } from '../operation.ts';
import { type ClusterTime, compareTimes } from '../oplog/clock.ts';
import type { Oplog, OplogEntry } from '../oplog/oplog.ts';
import { highWaterMark, parseToken } from '../oplog/tokens.ts';
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
import { inScope, invalidates, type Scope } from './scope.ts';
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
  readonly scope: Scope;
  readonly pipeline: EventPipeline;
  readonly start: StreamStart;
  readonly options: EventOptions;
  /** The documents that the client asked to see beside the change. @throws CommandError 51770 when one is required but gone */
  images(operation: StreamOperation): EventImages;
  /** Entries that may be looked at in a second, when a test slows the server down. */
  scanRate(): number | undefined;
}

/** Entries between two looks at the clock. */
const ENTRIES_PER_LOOK = 16;

interface Pending {
  readonly token: string;
  readonly raw: Uint8Array;
}

/** A cursor over the oplog that turns each entry into events once, in the log's order. */
export function createChangeStream(settings: StreamSettings): ChangeStream {
  const { oplog, scope, pipeline, options } = settings;
  let { sequence, token } = settings.start;
  let after = settings.start.after;
  let tokenTime: ClusterTime = parseToken(token).clusterTime;
  let operationIndex = 0;
  let ended = false;
  let queued: Pending[] = [];
  let looked = 0;

  const tooLarge = (size: number) =>
    new CommandError(
      CODES.BSONObjectTooLarge,
      `BSONObj size: ${size} is invalid. Size must be between 0 and ${MAX_DOCUMENT_BYTES}(16MB)`,
    );

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
      {
        errorLabels: ['NonResumableChangeStreamError'],
      },
    );
  };

  const produce = (entry: OplogEntry, operation: StreamOperation, index: number): Pending[] => {
    if (!inScope(scope, operation, options.showExpandedEvents)) return [];
    const header = eventHeader(operation);
    const ends = invalidates(scope, operation);
    if (after === undefined && !ends && !pipeline.admits(header)) return [];
    const events: Pending[] = [];
    const place = tokenOf(entry, operation, index, options.tokenVersion);
    // A stream may be resumed in the middle of a split event: its later fragments are still to come.
    const fragment = after !== undefined && isFragmentOf(after, place) ? after : '';
    if (fragment !== '') after = undefined;
    if (isPastStart(place) && pipeline.admits(header)) {
      const images = settings.images(operation);
      const result = pipeline.apply(encodeEvent(entry, operation, place, images, options));
      if (result !== null && pipeline.splitsLargeEvents) {
        events.push(...splitEvent(result, place).filter((part) => part.token > fragment));
      } else if (result !== null && result.length > MAX_DOCUMENT_BYTES) throw tooLarge(result.length);
      else if (result !== null) events.push({ token: place, raw: result });
    }
    if (ends) {
      const invalidate = invalidateEvent(entry, operation, index, options);
      if (isPastStart(invalidate.token)) {
        ended = true;
        const result = pipeline.admits({ operationType: 'invalidate' }) ? pipeline.apply(invalidate.raw) : null;
        if (result !== null) events.push({ token: invalidate.token, raw: result });
      }
    }
    return events;
  };

  /** Moves on by one operation. False at the end of the log. */
  const advance = (): boolean => {
    if (sequence >= oplog.committed.nextSequence) return false;
    const entry = oplog.entry(sequence);
    if (entry === undefined) {
      throw new CommandError(
        CODES.CappedPositionLost,
        'Error in $cursor stage :: caused by :: CollectionScan died due to failure to restore tailable cursor position.',
      );
    }
    const operation = entry.operations[operationIndex];
    const skipped = compareTimes(entry.time, settings.start.time) < 0;
    if (skipped || operation === undefined || operationIndex + 1 >= entry.operations.length) {
      if (!skipped && operation !== undefined && operation.kind !== 'noop')
        queued = produce(entry, operation, operationIndex);
      sequence += 1;
      operationIndex = 0;
      return true;
    }
    if (operation.kind !== 'noop') queued = produce(entry, operation, operationIndex);
    operationIndex += 1;
    return true;
  };

  return {
    async take(limit, operation) {
      const documents: Uint8Array[] = [];
      let bytes = 0;
      for (;;) {
        const next = queued[0];
        if (next !== undefined) {
          const full =
            documents.length >= limit || (documents.length > 0 && bytes + next.raw.length > MAX_DOCUMENT_BYTES);
          if (full) return { documents, token, ended: false };
          queued = queued.slice(1);
          documents.push(next.raw);
          bytes += next.raw.length;
          token = next.token;
          tokenTime = parseTime(token);
          continue;
        }
        if (ended) return { documents, token, ended: true };
        if (documents.length >= limit) return { documents, token, ended: false };
        if (!advance()) break;
        looked += 1;
        const rate = settings.scanRate();
        if (rate !== undefined) await slowed(looked, rate, operation);
        else if (looked % ENTRIES_PER_LOOK === 0) await yieldTurn(operation);
      }
      // Everything that is committed was looked at: the token says so, unless the last event says as much.
      const { time } = oplog.committed;
      if (compareTimes(time, tokenTime) > 0) {
        token = highWaterMark(time, options.tokenVersion);
        tokenTime = time;
      }
      return { documents, token, ended: false };
    },
    whenMore: (callback) => oplog.whenCommitted(sequence, callback),
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
