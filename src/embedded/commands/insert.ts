import { type Document, Int32 } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { nextTurn, yieldTurn } from '../operation.ts';
import type { Unit } from '../sessions/unit.ts';
import { incomingDocument } from '../storage/incoming.ts';
import { decode } from '../values/bson.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import { collectionName, optionalBoolean } from './fields.ts';
import { rejectView } from './targets.ts';
import {
  checkBatchSize,
  checkValidator,
  earlierOutcome,
  endsBatch,
  LARGE_BYTES,
  originOf,
  remember,
  statementNumber,
  unitOf,
  untilUnlocked,
  writeError,
  writeFields,
} from './write-batch.ts';

const ONE = { n: new Int32(1) };

/** Stores one document, or nothing when this statement was done before. @throws CommandError; Locked */
export function insertDocument(
  context: CommandContext,
  unit: Unit,
  name: string,
  raw: Buffer,
  statement: number,
  bypass: boolean,
): void {
  const { engine, db } = context;
  if (earlierOutcome(context, statement) !== undefined) return;
  const document = incomingDocument(raw, engine.modern, () => engine.clock.tick());
  const collection = unit.ensureCollection(db, name);
  rejectView(collection);
  const decoded = collection.options.validator === undefined ? collection.decodeKeys(document) : decode(document);
  checkValidator(collection, decoded, bypass);
  unit.insert(collection, document, decoded, originOf(context, statement, ONE));
  remember(context, statement, ONE);
}

async function run(context: CommandContext): Promise<Document> {
  const { engine, body, db, batch } = context;
  const name = collectionName(body, 'insert');
  checkBatchSize(batch.length);
  const ordered = optionalBoolean(body, 'ordered') ?? true;
  const bypass = optionalBoolean(body, 'bypassDocumentValidation') ?? false;
  const unit = unitOf(context, engine.modern && batch.length > 1);
  rejectView(unit.collection(db, name));
  const errors: Document[] = [];
  let inserted = 0;

  const insertOne = (raw: Buffer, index: number) => {
    insertDocument(context, unit, name, raw, statementNumber(body, index), bypass);
  };

  for (const [index, raw] of batch.entries()) {
    try {
      if (raw.length > LARGE_BYTES && !unit.isGrouping) await nextTurn(context.operation);
      // Nothing is awaited between a write and the flush unless a lock makes it necessary.
      const locked = untilUnlockedFast(context, () => insertOne(raw, index));
      if (locked !== undefined) await locked;
      inserted += 1;
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      if (error.code === CODES.InvalidNamespace || endsBatch(context, error)) {
        unit.flush();
        throw error;
      }
      errors.push(writeError(index, error));
      if (ordered) break;
    }
    // A group is small; who waits within it would split it.
    const turn = unit.isGrouping ? undefined : yieldTurn(context.operation);
    if (turn !== undefined) await turn;
  }
  unit.flush();
  return { n: inserted, ...(errors.length > 0 ? { writeErrors: errors } : {}), ...writeFields(context) };

  /** Most documents meet no lock: they need no promise. */
  function untilUnlockedFast(of: CommandContext, write: () => void): Promise<void> | undefined {
    try {
      write();
      return undefined;
    } catch (error) {
      if (error instanceof CommandError) throw error;
      unit.flush();
      return untilUnlocked(of, write);
    }
  }
}

export const insert: Command = {
  name: 'insert',
  fields: fields('documents', 'ordered', 'bypassDocumentValidation'),
  unknownField: 40415,
  batchField: 'documents',
  writes: true,
  inTransaction: true,
  writeConcern: true,
  run,
};
