import type { Document } from 'bson';
import type { WriteOrigin } from '../oplog/oplog.ts';
import type { Collection, CollectionOptions } from '../storage/collection.ts';
import type { View } from '../storage/view.ts';

/** What changed a document, beside its new state. */
export interface Change {
  readonly kind: 'update' | 'replace';
  readonly description?: Document;
}

/** One command's way to read and write: at once, or inside a transaction. Every call is atomic. */
export interface Unit {
  collection(db: string, name: string): Collection | undefined;
  view(collection: Collection): View;
  /** Finds or creates the collection. @throws CommandError 73 InvalidNamespace */
  ensureCollection(db: string, name: string, options?: CollectionOptions): Collection;
  /**
   * Whether a transaction has made the collection and written nothing to it yet: it may build indexes then.
   */
  isFresh(collection: Collection): boolean;
  /** @throws CommandError 11000 DuplicateKey; Locked; in a transaction 112 and, when it has ended meanwhile, 251 */
  insert(collection: Collection, raw: Buffer, document: Document, origin?: WriteOrigin): void;
  update(
    collection: Collection,
    id: number,
    raw: Buffer,
    document: Document,
    change: Change,
    origin?: WriteOrigin,
  ): void;
  remove(collection: Collection, id: number, origin?: WriteOrigin): void;
  /** Whether writes are grouped that are not visible yet. */
  readonly isGrouping: boolean;
  /** Makes what was grouped visible: nothing may be awaited between a write and this. */
  flush(): void;
}

/** Something that ends some time, and says when. */
export interface Ending {
  /** Calls back once, at once when it is over already. */
  whenEnded(callback: () => void): () => void;
}

/** A write met what an open transaction or an index build holds: wait for its end, then try again. */
export class Locked extends Error {
  override readonly name = 'Locked';
  readonly holder: Ending;

  constructor(holder: Ending) {
    super('the document or its collection is held by another operation');
    this.holder = holder;
  }
}
