import type { Binary } from 'bson';
import type { OplogEntry } from '../oplog/oplog.ts';

/** The data file: every oplog entry in the order of commit, written before the answer that it belongs to. */
export interface Journal {
  append(entry: OplogEntry): void;
  /** A document left a capped collection. */
  forget(collection: Binary, key: Buffer): void;
  /** Hands what was appended to the operating system: it survives the death of this process. */
  flush(): void;
  close(): void;
}
