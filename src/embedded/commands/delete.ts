import { type Document, Int32 } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, failedToParse } from '../errors.ts';
import { decode } from '../values/bson.ts';
import { toNumber } from '../values/numbers.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import { checkFields, collectionName, missingField, optionalBoolean, optionalDocument } from './fields.ts';
import { onCurrent, select, selection } from './modify.ts';
import { rejectView } from './targets.ts';
import { commandVariables } from './variables.ts';
import {
  checkBatchSize,
  earlierOutcome,
  endsBatch,
  originOf,
  remember,
  statementNumber,
  unitOf,
  writeError,
  writeFields,
} from './write-batch.ts';

const STATEMENT_FIELDS = fields('q', 'limit', 'collation', 'hint');

/** One statement of the batch. @throws CommandError */
export async function runDelete(context: CommandContext, statement: Document, number: number): Promise<number> {
  const { engine, body, db } = context;
  checkFields(statement, 'delete.deletes', 40415, STATEMENT_FIELDS);
  const query = optionalDocument(statement, 'q');
  if (query === undefined) throw missingField('delete.deletes.q');
  const limit = toNumber(statement['limit']);
  if (statement['limit'] === undefined) throw missingField('delete.deletes.limit');
  if (limit !== 0 && limit !== 1) {
    throw failedToParse(`The limit field in delete objects must be 0 or 1. Got ${limit}`);
  }
  if (limit === 0 && context.retryNumber !== undefined) {
    throw new CommandError(CODES.InvalidOptions, 'Cannot use (or request) retryable writes with limit=0');
  }
  const wanted = selection(query, {
    sort: undefined,
    hint: statement['hint'],
    collation: optionalDocument(statement, 'collation'),
    variables: commandVariables(body),
  });
  const unit = unitOf(context);
  const collection = unit.collection(db, collectionName(body, 'delete'));
  rejectView(collection);
  if (collection === undefined) return 0;
  if (collection.options.capped !== undefined && !engine.modern) {
    throw new CommandError(CODES.IllegalOperation, `cannot remove from a capped collection: ${collection.namespace}`);
  }
  for (let attempt = 0; attempt < 10; attempt += 1) {
    const matches = await select(context, unit, collection, wanted, limit === 1 ? 1 : Number.POSITIVE_INFINITY);
    if (matches.length === 0) return 0;
    let n = 0;
    for (const match of matches) {
      const removed = await onCurrent(context, unit, collection, match, wanted.test, decode, (current) => {
        unit.remove(collection, current.id, originOf(context, number, { n: 1 }));
        return true;
      });
      if (removed === true) n += 1;
    }
    if (n > 0 || limit === 0) return n;
  }
  return 0;
}

async function run(context: CommandContext): Promise<Document> {
  const { body, batch } = context;
  checkBatchSize(batch.length);
  collectionName(body, 'delete');
  const ordered = optionalBoolean(body, 'ordered') ?? true;
  const errors: Document[] = [];
  let n = 0;
  for (const [index, raw] of batch.entries()) {
    try {
      const number = statementNumber(body, index);
      const earlier = earlierOutcome(context, number);
      const removed = earlier === undefined ? await runDelete(context, decode(raw), number) : Number(earlier['n']);
      remember(context, number, { n: removed });
      n += removed;
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      if (
        endsBatch(context, error) ||
        error.code === 40414 ||
        error.code === 40415 ||
        error.code === CODES.InvalidOptions
      )
        throw error;
      errors.push(writeError(index, error));
      if (ordered) break;
    }
  }
  return { n: new Int32(n), ...(errors.length > 0 ? { writeErrors: errors } : {}), ...writeFields(context) };
}

export const deleteCommand: Command = {
  name: 'delete',
  fields: fields('deletes', 'ordered'),
  modernFields: fields('let'),
  unknownField: 40415,
  batchField: 'deletes',
  writes: true,
  inTransaction: true,
  writeConcern: true,
  run,
};
