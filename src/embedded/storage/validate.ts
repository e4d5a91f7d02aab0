import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { type Operation, yieldTurn } from '../operation.ts';
import { decode } from '../values/bson.ts';
import { getField } from '../values/types.ts';
import type { Collection } from './collection.ts';
import type { CollectionIndex } from './collection-index.ts';
import type { CommitCounter } from './versions.ts';

/** An index entry that is not where a record says, or is where none does. */
export interface BadEntry {
  readonly index: CollectionIndex;
  readonly recordId: number;
  /** Of the record, when there is one. */
  readonly idKey?: Document;
}

export interface Validation {
  /** Those that were there at the beginning and still are. */
  readonly indexes: readonly CollectionIndex[];
  readonly invalidDocuments: number;
  /** Documents that the collection's validator would refuse. */
  readonly nonCompliantDocuments: number;
  readonly missing: readonly BadEntry[];
  readonly extra: readonly BadEntry[];
  /** In words: counts that are not what was counted; compared only when nothing was written meanwhile. */
  readonly miscounts: readonly string[];
}

/**
 * Compares each record's keys with each index, and each index's entries with the records, while others have their
 * turns: every record and every entry is looked at in one piece, as it is at that moment.
 *
 * @throws CommandError 26 NamespaceNotFound when it is dropped meanwhile; what the operation is interrupted with
 */
export async function validateCollection(
  collection: Collection,
  commits: CommitCounter,
  operation: Operation,
): Promise<Validation> {
  const began = commits.current;
  const indexes = [...collection.indexes.values()];
  const missing: BadEntry[] = [];
  const extra: BadEntry[] = [];
  const counted = new Map<CollectionIndex, number>();
  let invalidDocuments = 0;
  let nonCompliantDocuments = 0;
  let bytes = 0;

  const turn = async () => {
    await yieldTurn(operation);
    if (collection.dropped)
      throw new CommandError(CODES.NamespaceNotFound, `Collection ${collection.namespace} was dropped`);
  };
  const isThere = (index: CollectionIndex) => collection.indexes.get(index.spec.name) === index;

  for (const id of collection.records.keys()) {
    await turn();
    const raw = collection.records.get(id);
    if (raw === undefined) continue;
    bytes += raw.length;
    const document = readable(raw);
    if (document === undefined) {
      invalidDocuments += 1;
      continue;
    }
    if (collection.options.validator?.(document) === false) nonCompliantDocuments += 1;
    for (const index of indexes) {
      if (!isThere(index)) continue;
      for (const entry of index.entriesOf(document, id))
        if (index.keys.get(entry) !== id) missing.push({ index, recordId: id, idKey: idOf(document) });
    }
  }
  for (const index of indexes) {
    let found = 0;
    for (const { key, id } of index.keys.scan('', undefined)) {
      await turn();
      if (!isThere(index)) break;
      // The scan is ahead of what others have removed.
      if (index.keys.get(key) !== id) continue;
      found += 1;
      const raw = collection.records.get(id);
      const document = raw === undefined ? undefined : readable(raw);
      if (document === undefined) extra.push({ index, recordId: id });
      else if (!index.entriesOf(document, id).includes(key)) extra.push({ index, recordId: id, idKey: idOf(document) });
    }
    counted.set(index, found);
  }

  const miscounts: string[] = [];
  const left = indexes.filter(isThere);
  if (commits.current === began) {
    if (bytes !== collection.bytes) miscounts.push(`documents of ${bytes} bytes are counted as ${collection.bytes}`);
    for (const index of left) {
      const found = counted.get(index) ?? 0;
      if (found !== index.keys.size)
        miscounts.push(`${found} entries of index ${index.spec.name} are counted as ${index.keys.size}`);
    }
  }
  return { indexes: left, invalidDocuments, nonCompliantDocuments, missing, extra, miscounts };
}

function readable(raw: Buffer): Document | undefined {
  try {
    return decode(raw);
  } catch (error) {
    if (error instanceof CommandError) return undefined;
    throw error;
  }
}

function idOf(document: Document): Document {
  return { _id: getField(document, '_id') };
}
