import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import type { OplogEntry } from '../oplog/oplog.ts';
import type { Files, WritableFile } from './files.ts';
import { encodeFrame } from './frames.ts';
import { entryRecord, logHeader } from './records.ts';

/** The log of changes on disk: every oplog entry in the order of commit. */
export interface Journal {
  append(entry: OplogEntry): void;
  /** What the oplog does not have: that a document left a capped collection, a user, a cut of the oplog. */
  add(record: Uint8Array): void;
  /** Nothing waits for the disk. */
  readonly isDurable: boolean;
  /** More waits for the disk than memory should hold: writers are to wait. */
  readonly isFull: boolean;
  /** Why nothing can be written now; undefined while all is well. */
  readonly failure: CommandError | undefined;
  /**
   * Calls back when all that was recorded until now is durable, or when it is known that it is not: `failure` is set
   * then. The returned function gives up waiting.
   */
  whenDurable(callback: () => void): () => void;
  /** What is recorded from now on goes into the log of that number. Resolves when everything before is durable. */
  rotate(number: number): Promise<void>;
  /** Makes everything durable that can be, and lets go of the file. */
  close(): Promise<void>;
}

export interface JournalSettings {
  readonly files: Files;
  /** The log to go on with. */
  readonly number: number;
  /** Where its last frame ends; 0 when it is still to be made. */
  readonly end: number;
  /** Its length. */
  readonly size: number;
  pathOf(number: number): string;
  /** The oplog is durable up to that entry, inclusive; the log has `logBytes`. */
  onDurable(entry: OplogEntry, logBytes: number): void;
  /** Hears in words when writes begin to be refused, and when they are taken again. */
  report(words: string): void;
}

/** A write that nobody waits for becomes durable, and visible to change streams, after at most about this time. */
const COMMIT_INTERVAL_MS = 10;
/**
 * A log's length is a multiple of this, and zeros follow its last frame: a length that is none, or frames up to the very
 * end, tell that somebody cut the file. Without that, acknowledged writes could be missing and nobody would know.
 */
export const LOG_STEP_BYTES = 1024 * 1024;
/** A log grows by as much as it has, up to this: growing costs an fsync of its own. */
const MOST_GROWTH_BYTES = 16 * 1024 * 1024;
/** Records of one frame, unless a single one is larger. */
const FRAME_BYTES = 4 * 1024 * 1024;
const FULL_BYTES = 64 * 1024 * 1024;
const RETRY_MS = 1000;

/** Records that are written together, or the change to another log. */
interface Batch {
  records: Uint8Array[];
  bytes: number;
  /** The last oplog entry in it. */
  entry: OplogEntry | undefined;
  readonly rotate?: { readonly number: number; readonly done: () => void; readonly failed: (error: Error) => void };
}

const emptyBatch = (): Batch => ({ records: [], bytes: 0, entry: undefined });

const WAIT_FOR_ROOM = 'They are taken again as soon as there is room.';
const SEE_TO_DISK = 'What was acknowledged is safe; end the server, see to the disk, and start it again.';

function refusal(error: unknown, remedy: string): CommandError {
  const reason = error instanceof Error ? error.message : String(error);
  const full = error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT');
  const words = `The data folder cannot be written: ${reason}. Writes are refused. ${remedy}`;
  return full ? new CommandError(CODES.OutOfDiskSpace, words) : new CommandError(CODES.OperationFailed, words);
}

/** A log has its final name only with its head in it: an empty one is one that somebody emptied. */
async function createLog(files: Files, path: string): Promise<{ log: WritableFile; end: number; size: number }> {
  const unfinished = `${path}.new`;
  await files.remove(unfinished);
  const log = await files.open(unfinished);
  const header = logHeader();
  const frame = encodeFrame([header], header.length, 0);
  try {
    await log.resize(LOG_STEP_BYTES);
    await log.write(frame, 0);
    await log.sync();
    await files.rename(unfinished, path);
  } catch (error) {
    await log.close();
    throw error;
  }
  return { log, end: frame.length, size: LOG_STEP_BYTES };
}

/** The file that frames are added to, and what of it is durable. */
async function openLog({ files, number, end: lastEnd, size: lastSize, pathOf }: JournalSettings) {
  let log: WritableFile;
  let [end, size] = [lastEnd, lastSize];
  let lost = false;
  try {
    if (end === 0) ({ log, end, size } = await createLog(files, pathOf(number)));
    else log = await files.open(pathOf(number));
  } catch (error) {
    throw refusal(error, 'The server does not start.');
  }

  const sync = async () => {
    try {
      await log.sync();
    } catch (error) {
      // After a failed fsync the system may count lost pages as written: a second one that succeeds proves nothing.
      lost = true;
      throw error;
    }
  };
  /** The new length is durable before anything is written there: a crash must not look like a cut. */
  const makeRoom = async (until: number) => {
    if (until < size) return;
    const growth = Math.min(Math.max(until, LOG_STEP_BYTES), MOST_GROWTH_BYTES);
    const next = Math.ceil((until + growth) / LOG_STEP_BYTES) * LOG_STEP_BYTES;
    await log.resize(next);
    await sync();
    size = next;
  };
  return {
    /** Nothing can be known of it any more, until it is read anew. */
    isLost: () => lost,
    /** @returns the log's bytes @throws what the disk says; the batch is then still to be written, at the same place */
    async write(batch: Batch): Promise<number> {
      const frame = encodeFrame(batch.records, batch.bytes, end);
      await makeRoom(end + frame.length);
      await log.write(frame, end);
      await sync();
      end += frame.length;
      return end;
    },
    async change(to: number): Promise<void> {
      const next = await createLog(files, pathOf(to));
      await log.close();
      ({ log, end, size } = next);
    },
    close: () => log.close(),
  };
}

/** What is recorded and not yet durable: full batches, and the one that is being filled. */
function createBacklog() {
  const sealed: Batch[] = [];
  let open = emptyBatch();
  let bytes = 0;
  const seal = () => {
    if (open.records.length === 0) return;
    sealed.push(open);
    open = emptyBatch();
  };
  return {
    bytes: () => bytes,
    isEmpty: () => open.records.length === 0 && sealed.length === 0,
    hasSealed: () => sealed.length > 0,
    add(record: Uint8Array, entry: OplogEntry | undefined): void {
      if (open.bytes > 0 && open.bytes + record.length > FRAME_BYTES) seal();
      open.records.push(record);
      open.bytes += record.length;
      if (entry !== undefined) open.entry = entry;
      bytes += record.length;
    },
    addRotation(rotate: NonNullable<Batch['rotate']>): void {
      seal();
      sealed.push({ ...emptyBatch(), rotate });
    },
    /** The oldest batch, which stays until it is done. */
    first(): Batch | undefined {
      if (sealed.length === 0) seal();
      return sealed[0];
    },
    done(batch: Batch): void {
      sealed.shift();
      bytes -= batch.bytes;
    },
    fail(error: Error): void {
      for (const { rotate } of sealed) rotate?.failed(error);
    },
  };
}

/** Those who wait until what was recorded is durable. */
function createWaiters() {
  const waiters = new Set<{ readonly target: number; readonly callback: () => void }>();
  return {
    areThere: () => waiters.size > 0,
    /** @returns a function that gives up waiting */
    add(target: number, callback: () => void): () => void {
      const waiter = { target, callback };
      waiters.add(waiter);
      return () => waiters.delete(waiter);
    },
    wake(durable: number): void {
      for (const waiter of waiters) {
        if (waiter.target > durable) return;
        waiters.delete(waiter);
        waiter.callback();
      }
    },
  };
}

/** Writes a log by group commit: what is recorded while one write is under way goes with the next, under one fsync. */
export async function openJournal(settings: JournalSettings): Promise<Journal> {
  const log = await openLog(settings);
  const backlog = createBacklog();
  const waiters = createWaiters();
  let recorded = 0;
  let durable = 0;
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let failure: CommandError | undefined;
  let closing = false;
  const fail = (error: unknown) => {
    const known = failure !== undefined;
    failure = refusal(error, log.isLost() ? SEE_TO_DISK : WAIT_FOR_ROOM);
    if (!known) settings.report(failure.message);
    waiters.wake(Number.POSITIVE_INFINITY);
    if (!log.isLost() && !closing) timer = setTimeout(start, RETRY_MS).unref();
  };

  const step = async (batch: Batch): Promise<boolean> => {
    try {
      if (batch.rotate === undefined) {
        const logBytes = await log.write(batch);
        durable += batch.records.length;
        if (batch.entry !== undefined) settings.onDurable(batch.entry, logBytes);
      } else await log.change(batch.rotate.number);
    } catch (error) {
      fail(error);
      return false;
    }
    backlog.done(batch);
    if (failure !== undefined) settings.report('The data folder can be written again.');
    failure = undefined;
    batch.rotate?.done();
    waiters.wake(durable);
    return true;
  };

  const writeAll = async () => {
    for (let batch = backlog.first(); batch !== undefined && (await step(batch)); batch = backlog.first()) {
      // Without somebody who waits, the rest has time to become more.
      if (!waiters.areThere() && !backlog.hasSealed() && !closing) return;
    }
  };

  const startLater = () => {
    timer ??= setTimeout(start, COMMIT_INTERVAL_MS).unref();
  };
  const start = () => {
    clearTimeout(timer);
    timer = undefined;
    if (running !== undefined || log.isLost()) return;
    running = writeAll().finally(() => {
      running = undefined;
      if (failure === undefined && !backlog.isEmpty()) startLater();
    });
  };

  const write = (record: Uint8Array, entry?: OplogEntry) => {
    backlog.add(record, entry);
    recorded += 1;
    if (running === undefined) startLater();
  };
  return {
    append: (entry) => write(entryRecord(entry, 'entry'), entry),
    add: (record) => write(record),
    get isDurable() {
      return recorded === durable;
    },
    get isFull() {
      return backlog.bytes() > FULL_BYTES;
    },
    get failure() {
      return failure;
    },
    whenDurable(callback) {
      if (recorded === durable || failure !== undefined) {
        callback();
        return () => undefined;
      }
      // Not at once: what other connections have sent by now shares the fsync.
      if (running === undefined) setImmediate(start);
      return waiters.add(recorded, callback);
    },
    rotate: (number) =>
      new Promise((done, failed) => {
        backlog.addRotation({ number, done, failed });
        start();
      }),
    async close() {
      closing = true;
      await running;
      start();
      await running;
      clearTimeout(timer);
      backlog.fail(new Error('the server has stopped'));
      await log.close();
    },
  };
}
