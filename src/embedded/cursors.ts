import { randomBytes } from 'node:crypto';
import type { Document } from 'bson';
import type { Need } from './auth/roles.ts';
import { CODES } from './codes.ts';
import type { Connection } from './connection.ts';
import { CommandError } from './errors.ts';
import type { Operation } from './operation.ts';

export interface CursorBatch {
  readonly documents: Uint8Array[];
  readonly done: boolean;
  readonly postBatchResumeToken?: string;
}

/** What a cursor reads from. */
export interface CursorSource {
  /** At most `limit` documents; waits for `waitMs` when it is a tailing one and there are none. */
  next(limit: number, operation: Operation, waitMs: number): Promise<CursorBatch>;
  readonly tailing: boolean;
  /** Whether errors of it carry the labels of change streams. */
  readonly changeStream: boolean;
}

export interface ServerCursor {
  readonly id: bigint;
  readonly namespace: string;
  readonly source: CursorSource;
  readonly sessionKey: string | undefined;
  readonly transactionNumber: bigint | undefined;
  readonly noTimeout: boolean;
  /** The command that opened it, and on which connection: what currentOp shows. */
  readonly command: Document;
  readonly connection: Connection;
  /** What its user must still be granted whenever more of it is sent. */
  readonly needs: readonly Need[];
  readonly createdAt: number;
  /** Documents and batches that were sent of it. */
  readonly sent: { documents: number; batches: number };
  lastUse: number;
  /** What is left of the `maxTimeMS` that it was opened with, ms: all its batches share it. */
  leftMs: number | undefined;
  /** Set while a getMore uses it. */
  user: Operation | undefined;
}

export interface Cursors {
  readonly size: number;
  open(cursor: Omit<ServerCursor, 'id' | 'createdAt' | 'lastUse' | 'user'>): ServerCursor;
  all(): Iterable<ServerCursor>;
  find(id: bigint): ServerCursor | undefined;
  /** Ends a cursor, also one that a getMore is waiting on. False when there is none. */
  kill(id: bigint): boolean;
  killWhere(test: (cursor: ServerCursor) => boolean, error: CommandError): void;
  expire(now: number): void;
}

/** `cursorTimeoutMillis`. */
const IDLE_LIMIT_MS = 600_000;
/** Beyond it the oldest idle cursor is closed: clients that never close theirs must not stop the others. */
const MAX_CURSORS = 50_000;

export function cursorNotFound(id: bigint): CommandError {
  return new CommandError(CODES.CursorNotFound, `cursor id ${id} not found`);
}

export function createCursors(): Cursors {
  const cursors = new Map<bigint, ServerCursor>();
  const end = (cursor: ServerCursor, error: CommandError) => {
    cursors.delete(cursor.id);
    cursor.user?.interrupt(error);
  };
  const closeOldest = () => {
    for (const cursor of cursors.values()) {
      if (cursor.user !== undefined) continue;
      cursors.delete(cursor.id);
      return;
    }
  };
  return {
    get size() {
      return cursors.size;
    },
    open(settings) {
      if (cursors.size >= MAX_CURSORS) closeOldest();
      let id = 0n;
      while (id === 0n || cursors.has(id)) id = randomBytes(8).readBigUInt64LE() >> 1n;
      const now = Date.now();
      const cursor: ServerCursor = { ...settings, id, createdAt: now, lastUse: now, user: undefined };
      cursors.set(id, cursor);
      return cursor;
    },
    all: () => cursors.values(),
    find: (id) => cursors.get(id),
    kill(id) {
      const cursor = cursors.get(id);
      if (cursor === undefined) return false;
      end(cursor, new CommandError(CODES.CursorKilled, 'operation was interrupted because a client killed the cursor'));
      return true;
    },
    killWhere(test, error) {
      for (const cursor of [...cursors.values()]) if (test(cursor)) end(cursor, error);
    },
    expire(now) {
      for (const cursor of [...cursors.values()]) {
        if (cursor.user === undefined && !cursor.noTimeout && now - cursor.lastUse > IDLE_LIMIT_MS)
          cursors.delete(cursor.id);
      }
    },
  };
}
