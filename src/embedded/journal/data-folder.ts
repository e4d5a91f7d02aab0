import { accessSync, constants, mkdirSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Engine } from '../engine.ts';
import { unlimited } from '../values/effort.ts';
import { captureState, writeBase } from './compaction.ts';
import { type Files, OWN_FOLDER, systemFiles } from './files.ts';
import { DataFolderError, type FramesRead, readFrames } from './frames.ts';
import { type Journal, LOG_STEP_BYTES, openJournal } from './journal.ts';
import { lockFolder } from './lock.ts';
import { BASE_END, OLD_FORMAT } from './records.ts';
import { createReplay } from './replay.ts';

export interface DataFolderOptions {
  /** Instead of the system's, for tests of its failures. */
  readonly files?: Files;
  /** A log above this, and above twice what it begins from, is replaced by a new base. 64 MB by default. */
  readonly compactAboveBytes?: number;
  /** Hears what the operator should know. */
  report?(words: string): void;
}

export interface DataFolder {
  readonly journal: Journal;
  /** The term to go on from, 0 for a new folder. */
  readonly term: number;
  /** Makes everything durable and gives the folder free. */
  close(): Promise<void>;
}

const COMPACT_ABOVE_BYTES = 64 * 1024 * 1024;
const RETRY_COMPACTION_MS = 60_000;
const NAME = /^(base|log)-(\d{6,})$/;

const nameOf = (kind: 'base' | 'log', number: number): string => `${kind}-${String(number).padStart(6, '0')}`;

interface Contents {
  /** 0 when there is none: the first log begins with nothing. */
  readonly base: number;
  readonly logs: readonly number[];
}

/**
 * `base-N` holds everything that was before `log-N`; of the logs only the last is written to. Removes what a newer base
 * has replaced and what a crash left unfinished.
 *
 * @throws DataFolderError when a log is missing
 */
function contentsOf(folder: string): Contents {
  const bases: number[] = [];
  const logs: number[] = [];
  for (const name of readdirSync(folder)) {
    const [, kind, digits] = NAME.exec(name) ?? [];
    if (kind !== undefined) (kind === 'base' ? bases : logs).push(Number(digits));
    else if (/^(?:base|log)-\d{6,}\.new$/.test(name)) rmSync(join(folder, name));
  }
  const base = Math.max(0, ...bases);
  const first = Math.max(base, 1);
  const kept = logs.filter((number) => number >= first).sort((a, b) => a - b);
  if ((base > 0 || logs.length > 0) && kept.some((number, at) => number !== first + at)) {
    throw new DataFolderError(`${folder} is not whole: ${nameOf('log', first)} and those after it are not all there`);
  }
  if (kept.length === 0 && (base > 0 || logs.length > 0))
    throw new DataFolderError(`${folder} is not whole: ${nameOf('log', first)} is missing`);
  for (const number of bases) if (number < base) rmSync(join(folder, nameOf('base', number)));
  for (const number of logs) if (number < first) rmSync(join(folder, nameOf('log', number)));
  return { base, logs: kept };
}

interface Recovered {
  readonly term: number;
  /** The log to go on with, where its last frame ends, and the size of what it begins from. */
  readonly number: number;
  readonly end: number;
  readonly size: number;
  readonly baseBytes: number;
}

/** What was read of one file. */
interface FileRead extends FramesRead {
  /** Written by the format before this one. */
  readonly old: boolean;
  /** Its last record says that it is whole. */
  readonly whole: boolean;
}

function readFile(path: string, replay: (record: Buffer) => void): FileRead {
  let old = false;
  let first = true;
  let whole = false;
  const read = readFrames(path, (record) => {
    if (first) old = record.includes(OLD_FORMAT);
    first = false;
    whole = record.equals(BASE_END);
    replay(record);
  });
  return { ...read, old, whole };
}

/** @throws DataFolderError when the file has a length that this server gives to none */
function checkLength(path: string, { end, tornEnd, size }: FramesRead): void {
  if (size > 0 && size % LOG_STEP_BYTES === 0 && end < size && tornEnd < size) return;
  const seen = size === 0 ? 'is empty' : `is ${size} bytes long`;
  throw new DataFolderError(
    `${path} ${seen}, which no log of this server is: it was cut or added to, and what was acknowledged may be missing. ` +
      'Restore the folder from a copy; nothing was changed',
  );
}

/** Brings the folder's contents into the engine; a torn end is cut away. @throws DataFolderError */
function recover(engine: Engine, folder: string): Recovered {
  const { base, logs } = contentsOf(folder);
  const replay = createReplay(engine);
  let baseBytes = 0;
  if (base > 0) {
    const path = join(folder, nameOf('base', base));
    const { end, torn, whole, old } = readFile(path, replay.record);
    if (torn || !(whole || old)) throw new DataFolderError(`${path} is damaged at byte ${end}; nothing was changed`);
    baseBytes = end;
  }
  let end = 0;
  let size = 0;
  let number = 1;
  for (const [at, log] of logs.entries()) {
    const path = join(folder, nameOf('log', log));
    const read = readFile(path, replay.record);
    if (!read.old) checkLength(path, read);
    // The next log was begun only when this one was durable.
    if (read.torn && at < logs.length - 1)
      throw new DataFolderError(`${path} is damaged at byte ${read.end}; nothing was changed`);
    if (read.torn) {
      truncateSync(path, read.end);
      if (!read.old) truncateSync(path, read.size);
    }
    // Nothing is added to a log of the old format: another one is begun.
    number = read.old ? log + 1 : log;
    end = read.old ? 0 : read.end;
    size = read.old ? 0 : read.size;
  }
  return { term: replay.finish(), number, end, size, baseBytes };
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: OWN_FOLDER });
    if (statSync(path).isDirectory()) {
      accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
      return;
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DataFolderError(`the data folder ${path} cannot be made or written: ${reason}`, { cause });
  }
  throw new DataFolderError(`${path} is not a folder`);
}

/** Times that the last process gave out for writes that did not become durable are not given out again. */
function leaveTimesOut({ clock }: Engine): void {
  clock.advance({ t: Math.max(clock.clusterTime.t, Math.floor(Date.now() / 1000)) + 1, i: 0 });
}

/**
 * Opens or makes a data folder, brings its contents into the engine, and writes there from now on.
 *
 * @throws DataFolderError when another server uses it, or it does not hold what this server writes
 */
export async function openDataFolder(
  engine: Engine,
  path: string,
  options: DataFolderOptions = {},
): Promise<DataFolder> {
  const { files = systemFiles, compactAboveBytes = COMPACT_ABOVE_BYTES, report = () => undefined } = options;
  const folder = resolve(path);
  makeFolder(folder);
  const unlock = await lockFolder(folder);
  try {
    const { term, number: lastLog, end, size, baseBytes: recoveredBytes } = unlimited(() => recover(engine, folder));
    let number = lastLog;
    let baseBytes = recoveredBytes;
    let compacting: Promise<void> | undefined;
    let notBefore = 0;
    const closing = new AbortController();

    const compact = async () => {
      const next = number + 1;
      // In one piece, so that the state is exactly what the logs up to here lead to.
      const rotated = journal.rotate(next);
      const state = captureState(engine);
      try {
        await rotated;
        number = next;
        baseBytes = await writeBase(files, join(folder, nameOf('base', next)), state, closing.signal);
        contentsOf(folder);
      } catch (error) {
        // What was left unfinished is removed, and made anew by the next server.
        if (closing.signal.aborted) return;
        const reason = error instanceof Error ? error.message : String(error);
        report(`The data folder could not be made smaller: ${reason}. It goes on growing; nothing is lost.`);
        notBefore = Date.now() + RETRY_COMPACTION_MS;
      } finally {
        state.release();
      }
    };

    const journal = await openJournal({
      files,
      number,
      end,
      size,
      pathOf: (of) => join(folder, nameOf('log', of)),
      onDurable(entry, logBytes) {
        engine.oplog.commit(entry);
        if (
          compacting !== undefined ||
          closing.signal.aborted ||
          logBytes < compactAboveBytes ||
          logBytes < 2 * baseBytes
        )
          return;
        if (Date.now() < notBefore) return;
        compacting = compact().finally(() => {
          compacting = undefined;
        });
      },
      report,
    });
    engine.oplog.hold();
    if (term > 0) leaveTimesOut(engine);
    return {
      journal,
      term,
      async close() {
        closing.abort();
        await journal.close();
        await compacting;
        await unlock();
      },
    };
  } catch (error) {
    await unlock();
    throw error;
  }
}
