import type { Binary, Document } from 'bson';
import type { OplogEntry } from '../oplog/oplog.ts';

/** The data file: every oplog entry in the order of commit, written before the answer that it belongs to. */
export interface Journal {
  append(entry: OplogEntry): void;
  /** A document left a capped collection. */
  forget(collection: Binary, key: Buffer): void;
  /** The oplog was cut to its newest entries. */
  cut(keep: number): void;
  /** Any record, for the file's own rewriting. */
  write(record: Document): void;
  /** Hands what was appended to the operating system: it survives the death of this process, not of the machine. */
  flush(): void;
  close(): void;
}
