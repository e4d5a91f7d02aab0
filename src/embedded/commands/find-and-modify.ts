import { type Document, Int32 } from 'bson';
import { failedToParse } from '../errors.ts';
import { compileProjection } from '../query/projection.ts';
import { decode, encode } from '../values/bson.ts';
import { collationOrder } from '../values/collation.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import { collectionName, optionalBoolean, optionalDocument } from './fields.ts';
import { createModifier, onCurrent, type Selection, select, selection } from './modify.ts';
import { rejectView } from './targets.ts';
import { updateDocument, updateOptions } from './update.ts';
import { commandVariables } from './variables.ts';
import { earlierOutcome, originOf, remember, statementNumber, unitOf, untilUnlocked } from './write-batch.ts';

/** The answer: what was done, and the document as asked for. It is also what a retry is answered with. */
interface Answer extends Document {
  readonly lastErrorObject: Document;
  readonly value: unknown;
}

function lastError(n: number, updatedExisting?: boolean, upserted?: unknown): Document {
  return {
    n: new Int32(n),
    ...(updatedExisting === undefined ? {} : { updatedExisting }),
    ...(upserted === undefined ? {} : { upserted }),
  };
}

async function remove(
  context: CommandContext,
  wanted: Selection,
  name: string,
  shown: (document: Document) => Document,
  number: number,
): Promise<Answer> {
  const unit = unitOf(context);
  const collection = unit.collection(context.db, name);
  rejectView(collection);
  for (let attempt = 0; collection !== undefined && attempt < 10; attempt += 1) {
    const [match] = await select(context, unit, collection, wanted, 1);
    if (match === undefined) break;
    const removed = await onCurrent(context, unit, collection, match, wanted.test, decode, (current) => {
      const answer = { lastErrorObject: lastError(1), value: shown(current.document) };
      unit.remove(collection, current.id, originOf(context, number, answer));
      return answer;
    });
    if (removed !== undefined) return removed;
  }
  return { lastErrorObject: lastError(0), value: null };
}

async function modify(
  context: CommandContext,
  wanted: Selection,
  name: string,
  shown: (document: Document) => Document,
  number: number,
): Promise<Answer> {
  const { body, engine, db } = context;
  const returnsNew = optionalBoolean(body, 'new') ?? false;
  const upsert = optionalBoolean(body, 'upsert') ?? false;
  const update = updateDocument(body['update'], 'findAndModify.update');
  const strings = collationOrder(wanted.collation);
  const options = updateOptions(engine, body, commandVariables(body), strings);
  const unit = unitOf(context);
  const bypass = optionalBoolean(body, 'bypassDocumentValidation') ?? false;
  const modifier = createModifier(unit, update, options, bypass);
  const collection = unit.collection(db, name);
  rejectView(collection);
  for (let attempt = 0; collection !== undefined && attempt < 10; attempt += 1) {
    const [match] = await select(context, unit, collection, wanted, 1);
    if (match === undefined) break;
    const modified = await onCurrent(context, unit, collection, match, wanted.test, decode, (current) =>
      modifier.apply(collection, current, wanted.test, (before, after) =>
        originOf(context, number, { lastErrorObject: lastError(1, true), value: shown(returnsNew ? after : before) }),
      ),
    );
    if (modified === undefined) continue;
    return { lastErrorObject: lastError(1, true), value: shown(returnsNew ? modified.after : modified.before) };
  }
  if (!upsert) return { lastErrorObject: lastError(0, false), value: null };
  return untilUnlocked(context, () => {
    const answer = (document: Document) => ({
      lastErrorObject: lastError(1, false, document['_id']),
      value: returnsNew ? shown(document) : null,
    });
    const created = unit.ensureCollection(db, name);
    return answer(modifier.upsert(created, wanted.query, (document) => originOf(context, number, answer(document))));
  });
}

async function run(context: CommandContext, command: string): Promise<Document> {
  const { body } = context;
  const name = collectionName(body, command);
  const number = statementNumber(body, 0);
  const earlier = earlierOutcome(context, number);
  if (earlier !== undefined) return earlier;
  const removes = optionalBoolean(body, 'remove') ?? false;
  if (removes && body['update'] !== undefined) throw failedToParse('Cannot specify both an update and remove=true');
  if (!removes && body['update'] === undefined)
    throw failedToParse('Either an update or remove=true must be specified');
  if (removes && optionalBoolean(body, 'upsert') === true)
    throw failedToParse('Cannot specify both upsert=true and remove=true ');
  if (removes && optionalBoolean(body, 'new') === true) {
    throw failedToParse("Cannot specify both new=true and remove=true; 'remove' always returns the deleted document");
  }
  const sort = optionalDocument(body, 'sort');
  const wanted = selection(optionalDocument(body, 'query') ?? {}, {
    sort: sort === undefined || Object.keys(sort).length === 0 ? undefined : sort,
    hint: body['hint'],
    collation: optionalDocument(body, 'collation'),
    variables: commandVariables(body),
  });
  const projection = optionalDocument(body, 'fields');
  const project = projection === undefined ? undefined : compileProjection(projection, { filter: wanted.test });
  const shown = (document: Document): Document => decode(encode(project === undefined ? document : project(document)));
  const answer = removes
    ? await remove(context, wanted, name, shown, number)
    : await modify(context, wanted, name, shown, number);
  remember(context, number, answer);
  return answer;
}

function command(name: string): Command {
  return {
    name,
    fields: fields(
      'query',
      'sort',
      'remove',
      'update',
      'new',
      'fields',
      'upsert',
      'bypassDocumentValidation',
      'collation',
      'arrayFilters',
      'hint',
    ),
    modernFields: fields('let'),
    unknownField: 51177,
    writes: true,
    inTransaction: true,
    writeConcern: true,
    run: (context) => run(context, name),
  };
}

export const findAndModify = command('findAndModify');
/** The spelling that older drivers use. */
export const findandmodify = command('findandmodify');
