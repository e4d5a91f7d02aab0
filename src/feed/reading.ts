import {
  type ClusterTime,
  compareTimes,
  endOf,
  later,
  ORIGIN,
  type Position,
  startOf,
  timeOf,
} from '../protocol/position.ts';
import { type Change, createDecoder, decodeToken, type TokenPlace, UnreadableStreamError } from './change.ts';
import type { Connection } from './connection.ts';
import { classify } from './policy.ts';
import { readOversized } from './reread.ts';
import { type ChangeCursor, openCursor, type Reply, type Watch } from './stream.ts';

/** What a reply says of how far the stream was looked at, beside the changes that it brought. */
interface Mark {
  /** The place of its post-batch token; null where it says nothing. */
  readonly place: TokenPlace | null;
  /** Whether it brought no change at all. */
  readonly empty: boolean;
  /** The majority time, asked before the `getMore` was sent; null when it was not known. */
  readonly majority: ClusterTime | null;
}

/** How far the stream was read. */
export interface Progress {
  /** Everything at or below is delivered: the later of the last applied event and the high-water mark. */
  readonly delivered: Position;
  /** Position of the last applied event; whatever comes at or below it was applied before. */
  readonly last: Position;
  applied(position: Position): void;
  /** All of `time` was read in another way; the stream goes on after it. */
  passed(time: ClusterTime): void;
  /** A cursor was opened at `startAt`; `majority` was asked before. */
  opened(startAt: ClusterTime, majority: ClusterTime | null): void;
  /**
   * Moves the mark by a reply to `getMore`, after its changes were applied. Never by the first reply: the token of an
   * empty `aggregate` is the start's own mark, whose events are still to come.
   */
  replied(mark: Mark): void;
  /** Where to open a cursor to go on without a gap: inclusive, so that what was applied comes again and is skipped. */
  resumeAt(): ClusterTime;
}

/** Progress from a start; events at or below `skip` are not to be applied. */
export function createProgress(start: ClusterTime, skip: Position): Progress {
  let last = skip;
  let mark = ORIGIN;
  /** The start of the open cursor while it lies beyond what the set had committed when it was opened. */
  let unreached: ClusterTime | null = null;
  let passed: ClusterTime | null = null;

  return {
    get delivered() {
      return later(last, mark);
    },
    get last() {
      return last;
    },
    applied(position) {
      last = later(last, position);
      unreached = null;
    },
    passed(time) {
      passed = time;
      last = later(last, endOf(time));
    },
    opened(startAt, majority) {
      unreached = majority === null || compareTimes(startAt, majority) > 0 ? startAt : null;
    },
    replied({ place, empty, majority }) {
      // An event's token does not complete its clusterTime, unless nothing more came after it (4.4 repeats it there).
      if (place === null || (place.kind === 'event' && !empty)) return;
      if (unreached !== null) {
        if (majority !== null && compareTimes(unreached, majority) <= 0) unreached = null;
        else if (compareTimes(place.time, unreached) <= 0) return;
      }
      mark = later(mark, endOf(place.time));
    },
    resumeAt() {
      const delivered = later(last, mark);
      if (passed !== null && delivered === endOf(passed)) return { t: passed.t, i: passed.i + 1 };
      return delivered > startOf(start) ? timeOf(delivered) : start;
    },
  };
}

/** One reply of the stream, decoded, without what was applied before. */
export interface Batch {
  readonly changes: readonly Change[];
  /** What the changes weigh, in bytes of BSON. */
  readonly bytes: number;
  readonly mark: Mark;
  /** Documents of these changes were read at rest up to here, ahead of the stream, since one was too large to be sent. */
  readonly readAhead: Position | null;
  /** The last one: the server closed the cursor, which means invalidate, whatever was seen. */
  readonly ended: boolean;
}

interface ReadingOptions {
  readonly connection: Pick<Connection, 'client' | 'heard' | 'majority' | 'lastMajority'>;
  readonly watch: Watch;
  /** Whether the server can send a large event in fragments. */
  readonly splits: boolean;
  readonly batchSize: number;
  /** How long the next `getMore` waits for changes. */
  awaitMs(): number;
  /** What is waited for before the next `getMore`, unless the server has more already. */
  rest(): Promise<void>;
  /** Ends the cursor, whatever it waits for. */
  readonly signal: AbortSignal;
}

/** A `getMore` under way. */
interface Asked {
  /** Null when what comes next is too large for one reply. */
  readonly reply: Promise<Reply | null>;
  /** As it was known before the question. */
  readonly majority: ClusterTime | null;
}

const NO_MARK: Mark = { place: null, empty: false, majority: null };
const ENDED: Batch = { changes: [], bytes: 0, mark: NO_MARK, readAhead: null, ended: true };

/** While one event is passed, an idle server is not waited for. */
const PASS_AWAIT_MS = 20;
/** An update is kept without the fields that are not read, whatever it brought. */
const UPDATE_BYTES = 4_096;

/** Lets what was written to a socket go out before the event loop is busy for a while. */
const flushed = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function openAt(options: ReadingOptions, progress: Progress, batchSize: number): Promise<ChangeCursor> {
  const { connection, watch, splits } = options;
  const majority = await connection.majority();
  const startAt = progress.resumeAt();
  const stages = watch.stages(splits);
  const cursor = await openCursor(connection.client, { database: watch.database, stages, startAt, batchSize });
  progress.opened(startAt, majority);
  return cursor;
}

function ask(cursor: ChangeCursor, options: ReadingOptions, awaitMs: number): Asked {
  const reply = cursor.next(awaitMs).catch((error: unknown) => {
    if (classify(error).class === 'too_large') return null;
    throw error;
  });
  // It may fail while the former reply is taken; whoever awaits it later hears of it.
  reply.catch(() => undefined);
  return { majority: options.connection.lastMajority, reply };
}

/** Decodes a reply, and leaves out what was applied before. Throws UnreadableStreamError. */
function batchOf(
  reply: Reply,
  majority: ClusterTime | null,
  decode: ReturnType<typeof createDecoder>,
  last: Position,
): Batch {
  const place = decodeToken(reply.token);
  if (place === null) {
    throw new UnreadableStreamError('the resume tokens of this MongoDB have a form that is not known here');
  }
  const changes: Change[] = [];
  let bytes = 0;
  let ended = !reply.open;
  for (const raw of reply.changes) {
    const change = decode(raw);
    if (change === null) continue;
    // Before the skip rule: an invalidate shares its place with the dropDatabase before it.
    if (change.kind === 'invalidate') {
      ended = true;
      break;
    }
    if (change.position <= last) continue;
    changes.push(change);
    const size = raw instanceof Uint8Array ? raw.length : 0;
    bytes += change.kind === 'update' ? Math.min(size, UPDATE_BYTES) : size;
  }
  return { changes, bytes, mark: { place, empty: reply.changes.length === 0, majority }, readAhead: null, ended };
}

/**
 * Gets past an event that is too large to be sent: yields what comes before it one by one, then it and the rest of its
 * clusterTime without documents. True when the stream ended on the way.
 */
async function* passOversized(options: ReadingOptions, progress: Progress): AsyncGenerator<Batch, boolean> {
  const { connection, watch } = options;
  const cursor = await openAt(options, progress, 1);
  const decode = createDecoder(options.watch);
  try {
    for (;;) {
      const { reply: answer, majority } = ask(cursor, options, PASS_AWAIT_MS);
      const reply = await answer;
      connection.heard();
      if (reply === null) break;
      // There is none: the server only said so once.
      if (reply.open && reply.changes.length === 0) return false;
      const batch = batchOf(reply, majority, decode, progress.last);
      yield batch;
      if (batch.ended) return true;
    }
  } finally {
    await cursor.close();
  }
  const changes = await readOversized(connection.client, watch, progress.resumeAt(), progress.last);
  yield { changes, bytes: 0, mark: NO_MARK, readAhead: endOf(await connection.majority()), ended: false };
  const last = changes.at(-1);
  if (last !== undefined) progress.passed(last.time);
  return false;
}

/**
 * The changes of the database from the position of `progress` on, for ever, or until the stream ends. Whoever takes a
 * batch moves `progress` over it before the next is asked for. While a full batch is taken the server is already asked
 * for the next, so that the two work at the same time. Throws what the driver throws, and UnreadableStreamError.
 */
export async function* readChanges(options: ReadingOptions, progress: Progress): AsyncGenerator<Batch, void> {
  const { connection, batchSize } = options;
  let cursor = await openAt(options, progress, batchSize);
  let decode = createDecoder(options.watch);
  let asked: Asked | null = null;
  const end = (): void => void cursor.close();
  options.signal.addEventListener('abort', end);
  try {
    while (cursor.open) {
      const { reply: answer, majority }: Asked = asked ?? ask(cursor, options, options.awaitMs());
      asked = null;
      const reply = await answer;
      connection.heard();
      if (reply === null) {
        await cursor.close();
        if (yield* passOversized(options, progress)) return;
        cursor = await openAt(options, progress, batchSize);
        decode = createDecoder(options.watch);
        continue;
      }
      if (reply.open && reply.changes.length >= batchSize) {
        asked = ask(cursor, options, options.awaitMs());
        await flushed();
      }
      const batch = batchOf(reply, majority, decode, progress.last);
      yield batch;
      if (batch.ended) return;
      if (asked === null) await options.rest();
    }
    if (!options.signal.aborted) yield ENDED;
  } finally {
    options.signal.removeEventListener('abort', end);
    await cursor.close();
  }
}
