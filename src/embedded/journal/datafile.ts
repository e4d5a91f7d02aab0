import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { resolve } from 'node:path';
import { Binary, type Document, serialize } from 'bson';
import type { Engine } from '../engine.ts';
import { indexDocument } from '../storage/collindex.ts';
import { decode } from '../values/bson.ts';
import { checkRaw } from '../wire/raw.ts';
import type { Journal } from './journal.ts';
import { DataFileError, entryRecord } from './records.ts';
import { replayRecord } from './replay.ts';

const FORMAT = 'runcash-live embedded data 1';
/** Read in pieces of this size; a record larger than it is read whole. */
const READ_BYTES = 8 * 1024 * 1024;
/** A file above this, and well above what it holds, is written anew when it is opened. */
const REWRITE_ABOVE_BYTES = 64 * 1024 * 1024;
/** Appended bytes are handed over at the latest when this many have piled up. */
const FLUSH_ABOVE_BYTES = 1024 * 1024;

const openFiles = new Set<string>();

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, but is another user's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** One server at a time. A lock left by a process that was killed is taken over. */
function lock(path: string): () => void {
  const lockFile = `${path}.lock`;
  const holder = existsSync(lockFile) ? Number(readFileSync(lockFile, 'utf8')) : 0;
  if (openFiles.has(path) || (holder > 0 && holder !== process.pid && isAlive(holder))) {
    throw new DataFileError(`${path} is in use by another server${holder > 0 ? ` (process ${holder})` : ''}`);
  }
  writeFileSync(lockFile, String(process.pid));
  openFiles.add(path);
  return () => {
    openFiles.delete(path);
    rmSync(lockFile, { force: true });
  };
}

/** The whole records of a file, in order; returns where the last one ends. A torn last record is not one. */
function* records(fd: number): Generator<Document, number> {
  let buffer = Buffer.alloc(0);
  let end = 0;
  let position = 0;
  for (;;) {
    const wanted = buffer.length >= 4 ? buffer.readInt32LE(0) : 5;
    if (wanted < 5) throw new DataFileError(`the data file is damaged at byte ${end}`);
    if (buffer.length < wanted) {
      const chunk = Buffer.allocUnsafe(Math.max(READ_BYTES, wanted - buffer.length));
      const read = readSync(fd, chunk, 0, chunk.length, position);
      if (read === 0) return end;
      position += read;
      buffer = Buffer.concat([buffer, chunk.subarray(0, read)]);
      continue;
    }
    const raw = buffer.subarray(0, wanted);
    checkRaw(raw);
    yield decode(raw);
    end += wanted;
    buffer = buffer.subarray(wanted);
  }
}

/** The first bytes of every data file. */
const HEADER = serialize({ format: FORMAT });

/** @throws DataFileError when the file is something else, which must not be written to */
function checkHeader(fd: number, path: string): void {
  const head = Buffer.alloc(HEADER.length);
  const read = readSync(fd, head, 0, head.length, 0);
  if (!head.subarray(0, read).equals(HEADER.subarray(0, read))) {
    throw new DataFileError(`${path} is not a data file of this server; it is left as it is`);
  }
}

/** Replays the file into the engine. @returns the end of the last whole record and the highest term */
function replay(fd: number, engine: Engine): { readonly end: number; readonly term: number } {
  const source = records(fd);
  let term = 0;
  let first = true;
  for (;;) {
    const step = source.next();
    if (step.done === true) return { end: step.value, term };
    if (!first) term = Math.max(term, replayRecord(engine, step.value) ?? 0);
    first = false;
  }
}

function createJournal(fd: number, unlock: () => void): Journal {
  let parts: Uint8Array[] = [];
  let size = 0;
  let closed = false;
  const journal: Journal = {
    append: (entry) => journal.write(entryRecord(entry)),
    forget: (collection, key) => journal.write({ forget: collection, key: new Binary(key) }),
    cut: (keep) => journal.write({ cut: keep }),
    write(record) {
      const bytes = serialize(record, { ignoreUndefined: true });
      parts.push(bytes);
      size += bytes.length;
      if (size > FLUSH_ABOVE_BYTES) journal.flush();
    },
    flush() {
      // A command that was under way when the server stopped has nobody left to answer.
      if (size === 0 || closed) return;
      const bytes = Buffer.concat(parts, size);
      parts = [];
      size = 0;
      for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at);
    },
    close() {
      journal.flush();
      closed = true;
      closeSync(fd);
      unlock();
    },
  };
  return journal;
}

/** What the engine holds now, as a file that leads to the same. */
function rewrite(engine: Engine, path: string): void {
  const fresh = `${path}.new`;
  const journal = createJournal(openSync(fresh, 'w'), () => undefined);
  journal.write({ format: FORMAT });
  for (const db of engine.catalog.databases()) {
    for (const collection of engine.catalog.collections(db)) {
      const indexes = [...collection.indexes.values()]
        .map(({ spec }) => indexDocument(spec))
        .filter(({ name }) => name !== '_id_');
      journal.write({
        collection: collection.uuid,
        db,
        coll: collection.name,
        shown: collection.options.shown,
        indexes,
      });
      for (const raw of collection.records.values()) journal.write({ in: collection.uuid, document: new Binary(raw) });
    }
  }
  for (let at = engine.oplog.firstSequence; at < engine.oplog.nextSequence; at += 1) {
    const entry = engine.oplog.entry(at);
    if (entry !== undefined) journal.write({ past: true, ...entryRecord(entry) });
  }
  if (engine.oplog.truncated) journal.write({ cut: engine.oplog.nextSequence - engine.oplog.firstSequence });
  journal.close();
  renameSync(fresh, path);
}

function liveBytes(engine: Engine): number {
  let bytes = engine.oplog.bytes;
  for (const db of engine.catalog.databases())
    for (const collection of engine.catalog.collections(db)) bytes += collection.bytes;
  return bytes;
}

function readDataFile(engine: Engine, path: string): { readonly end: number; readonly term: number } {
  const fd = openSync(path, existsSync(path) ? 'r+' : 'w+');
  try {
    checkHeader(fd, path);
    const read = replay(fd, engine);
    ftruncateSync(fd, read.end);
    return read;
  } finally {
    closeSync(fd);
  }
}

/**
 * Opens or creates the data file, brings its contents into the engine, and attaches it.
 *
 * What a kill tore off at the end was never acknowledged: it is cut away.
 *
 * @returns the term to go on from, 0 for a new file
 * @throws DataFileError when it is in use, or not a file of this server
 */
export function openDataFile(engine: Engine, file: string, rewriteAboveBytes = REWRITE_ABOVE_BYTES): number {
  const path = resolve(file);
  const unlock = lock(path);
  try {
    const { end, term } = readDataFile(engine, path);
    if (end > rewriteAboveBytes && end > 3 * liveBytes(engine)) rewrite(engine, path);
    const fd = openSync(path, 'a');
    const journal = createJournal(fd, unlock);
    if (statSync(path).size === 0) journal.write({ format: FORMAT });
    engine.attach(journal);
    return term;
  } catch (error) {
    unlock();
    throw error;
  }
}
