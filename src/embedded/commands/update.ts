import { type Document, Int32 } from 'bson';
import { CODES } from '../codes.ts';
import type { Engine } from '../engine.ts';
import { CommandError, failedToParse } from '../errors.ts';
import { nextTurn } from '../operation.ts';
import { toTimestamp } from '../oplog/clock.ts';
import type { UpdateOptions } from '../query/update.ts';
import { decode } from '../values/bson.ts';
import { isDocument } from '../values/types.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import {
  checkFields,
  collectionName,
  documentList,
  missingField,
  modernOnly,
  optionalBoolean,
  optionalDocument,
  wrongType,
} from './fields.ts';
import { checkUpsertMulti, createModifier, onCurrent, select, selection } from './modify.ts';
import { rejectView } from './targets.ts';
import { commandVariables } from './variables.ts';
import {
  checkBatchSize,
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

interface Outcome extends Document {
  readonly n: number;
  readonly nModified: number;
  readonly upserted?: unknown;
}

const STATEMENT_FIELDS = fields('q', 'u', 'c', 'multi', 'upsert', 'collation', 'arrayFilters', 'hint');
const MODERN_STATEMENT_FIELDS = fields('sort');

/** `u`: operators or a replacement, or a pipeline. @throws CommandError 9, 14 */
export function updateDocument(value: unknown, path: string): Document | Document[] {
  if (value === undefined) throw missingField(path);
  if (Array.isArray(value)) return documentList(value, path);
  if (!isDocument(value)) throw failedToParse('Update argument must be either an object or an array');
  return value;
}

/** Options of an update that come from its own fields and from the command. @throws CommandError 14 */
export function updateOptions(
  engine: Engine,
  statement: Document,
  letDocument: Document | undefined,
  strings: UpdateOptions['strings'],
): UpdateOptions {
  const filters: unknown = statement['arrayFilters'];
  if (filters !== undefined && !Array.isArray(filters)) throw wrongType('arrayFilters', filters, 'array');
  const constants = optionalDocument(statement, 'c');
  const variables = { ...letDocument, ...constants };
  return {
    now: new Date(),
    modern: engine.modern,
    // Read only where a timestamp is asked for: every reading is a new time.
    get timestamp() {
      return toTimestamp(engine.clock.tick());
    },
    ...(filters === undefined ? {} : { arrayFilters: filters }),
    ...(strings === undefined ? {} : { strings }),
    ...(Object.keys(variables).length === 0 ? {} : { variables }),
  };
}

/** One statement of the batch. @throws CommandError */
export async function runUpdate(context: CommandContext, statement: Document, number: number): Promise<Outcome> {
  const { engine, body, db } = context;
  checkFields(statement, 'update.updates', 40415, STATEMENT_FIELDS, modernOnly(engine, MODERN_STATEMENT_FIELDS));
  const query = optionalDocument(statement, 'q');
  if (query === undefined) throw missingField('update.updates.q');
  const update = updateDocument(statement['u'], 'update.updates.u');
  const multi = optionalBoolean(statement, 'multi') ?? false;
  const upsert = optionalBoolean(statement, 'upsert') ?? false;
  if (multi && context.retryNumber !== undefined) {
    throw new CommandError(CODES.InvalidOptions, 'Cannot use (or request) retryable writes with multi=true');
  }
  checkUpsertMulti(update, multi);
  const name = collectionName(body, 'update');
  const letDocument = commandVariables(body);
  const wanted = selection(query, {
    sort: optionalDocument(statement, 'sort'),
    hint: statement['hint'],
    collation: optionalDocument(statement, 'collation'),
    variables: letDocument,
  });
  const unit = unitOf(context);
  const options = updateOptions(engine, statement, letDocument, undefined);
  const modifier = createModifier(unit, update, options, optionalBoolean(body, 'bypassDocumentValidation') ?? false);
  let collection = unit.collection(db, name);
  rejectView(collection);
  let n = 0;
  let nModified = 0;
  // Finding again after a lost race (the one match was removed meanwhile) keeps an upsert from going wrong.
  for (let attempt = 0; collection !== undefined && attempt < 10; attempt += 1) {
    const target = collection;
    const matches = await select(context, unit, target, wanted, multi ? Number.POSITIVE_INFINITY : 1);
    if (matches.length === 0) break;
    for (const match of matches) {
      const modified = await onCurrent(context, unit, target, match, wanted.test, decode, (current) =>
        modifier.apply(target, current, wanted.test, () => originOf(context, number, { n: 1, nModified: 1 })),
      );
      if (modified === undefined) continue;
      n += 1;
      if (modified.changed) nModified += 1;
    }
    if (n > 0 || multi) break;
  }
  if (n > 0 || !upsert) return { n, nModified };
  return untilUnlocked(context, () => {
    collection = unit.ensureCollection(db, name);
    const upserted = modifier.upsert(collection, query, (document) =>
      originOf(context, number, { n: 1, nModified: 0, upserted: document['_id'] }),
    );
    return { n: 1, nModified: 0, upserted: upserted['_id'] };
  });
}

async function run(context: CommandContext): Promise<Document> {
  const { body, batch } = context;
  checkBatchSize(batch.length);
  collectionName(body, 'update');
  const ordered = optionalBoolean(body, 'ordered') ?? true;
  const errors: Document[] = [];
  const upserted: Document[] = [];
  let n = 0;
  let nModified = 0;
  for (const [index, raw] of batch.entries()) {
    try {
      if (raw.length > LARGE_BYTES) await nextTurn(context.operation);
      const number = statementNumber(body, index);
      const outcome = earlierOutcome(context, number) ?? (await runUpdate(context, decode(raw), number));
      remember(context, number, outcome);
      n += Number(outcome['n']);
      nModified += Number(outcome['nModified']);
      if (outcome['upserted'] !== undefined) upserted.push({ index: new Int32(index), _id: outcome['upserted'] });
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      if (
        endsBatch(context, error) ||
        error.code === 40414 ||
        error.code === 40415 ||
        error.code === CODES.InvalidNamespace ||
        error.code === CODES.InvalidOptions
      )
        throw error;
      errors.push(writeError(index, error));
      if (ordered) break;
    }
  }
  return {
    n: new Int32(n),
    nModified: new Int32(nModified),
    ...(upserted.length > 0 ? { upserted } : {}),
    ...(errors.length > 0 ? { writeErrors: errors } : {}),
    ...writeFields(context),
  };
}

export const update: Command = {
  name: 'update',
  fields: fields('updates', 'ordered', 'bypassDocumentValidation'),
  modernFields: fields('let'),
  unknownField: 40415,
  batchField: 'updates',
  writes: true,
  inTransaction: true,
  writeConcern: true,
  run,
};
