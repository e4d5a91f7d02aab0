import { type Document, ObjectId } from 'bson';
import { checkNeeds } from '../auth/authorize.ts';
import { CODES } from '../codes.ts';
import { badValue, CommandError, location } from '../errors.ts';
import { yieldTurn } from '../operation.ts';
import { compileFilter } from '../query/filter.ts';
import { compileUpdate } from '../query/update.ts';
import { createDirectUnit } from '../sessions/direct-unit.ts';
import type { Unit } from '../sessions/unit.ts';
import { checkNamespace, PLAIN_OPTIONS } from '../storage/catalog.ts';
import type { Collection } from '../storage/collection.ts';
import { encodeStored } from '../storage/incoming.ts';
import { planQuery } from '../storage/plan.ts';
import { createSearch } from '../storage/search.ts';
import { getField, isDocument } from '../values/types.ts';
import { checkFree } from './catalog-wait.ts';
import type { CommandContext } from './command.ts';
import { documentList } from './fields.ts';
import { untilUnlocked } from './write-batch.ts';

interface Target {
  readonly db: string;
  readonly coll: string;
}

function targetOf(value: unknown, db: string, stage: string): Target {
  if (typeof value === 'string') return { db, coll: value };
  if (isDocument(value) && typeof value['coll'] === 'string') {
    return { db: typeof value['db'] === 'string' ? value['db'] : db, coll: value['coll'] };
  }
  throw location(16990, `${stage} needs a collection: a string or {db, coll}`);
}

function withId(document: Document): Document {
  return Object.hasOwn(document, '_id') ? document : { _id: new ObjectId(), ...document };
}

/** Carries out the last stage of a pipeline. @throws CommandError, 13 for who may not write where it leads */
export async function writeOutput(
  context: CommandContext,
  stage: '$out' | '$merge',
  operand: unknown,
  documents: readonly Document[],
): Promise<void> {
  if (context.transaction !== undefined) {
    throw new CommandError(CODES.OperationNotSupportedInTransaction, `${stage} cannot be used in a transaction`);
  }
  const { engine, connection, db, shown } = context;
  engine.checkWritable();
  const spec = stage === '$merge' ? parseMerge(operand, db) : undefined;
  const target = spec?.target ?? targetOf(operand, db, '$out');
  checkNeeds(engine, connection, { name: 'aggregate', db, shown }, [{ action: 'write', db: target.db }]);
  if (spec === undefined) await replaceAll(context, target, documents);
  else await merge(context, spec, documents);
}

function databaseDropped(): CommandError {
  return new CommandError(CODES.NamespaceNotFound, '$out: its database was dropped meanwhile');
}

/** `$out`: the collection becomes what the pipeline gave, at once; its indexes and options stay. */
async function replaceAll(
  context: CommandContext,
  { db, coll }: Target,
  documents: readonly Document[],
): Promise<void> {
  const { engine } = context;
  checkNamespace(db, coll);
  const old = engine.catalog.find(db, coll);
  const temporary = engine.createCollection(
    db,
    `tmp.agg_out.${new ObjectId().toHexString()}`,
    old?.options ?? PLAIN_OPTIONS,
  );
  const unit = createDirectUnit(engine, engine.modern);
  try {
    for (const index of old?.indexes.values() ?? [])
      if (index.spec.name !== '_id_') engine.addIndex(temporary, index.spec);
    for (const document of documents) {
      const whole = withId(document);
      unit.insert(temporary, encodeStored(whole), whole);
      const turn = yieldTurn(context.operation);
      if (turn === undefined) continue;
      unit.flush();
      await turn;
      if (temporary.dropped) throw databaseDropped();
    }
    unit.flush();
    await untilUnlocked(context, () => {
      const target = engine.catalog.find(db, coll);
      checkFree(engine, target);
      if (temporary.dropped) throw databaseDropped();
      engine.renameCollection(temporary, db, coll, target);
    });
  } catch (error) {
    unit.flush();
    if (!temporary.dropped) engine.dropCollection(temporary);
    throw error;
  }
}

interface MergeSpec {
  readonly target: Target;
  readonly on: readonly string[];
  readonly whenMatched: string | readonly Document[];
  readonly whenNotMatched: string;
  readonly variables: Document;
}

function parseMerge(operand: unknown, db: string): MergeSpec {
  const spec: Document = isDocument(operand) && 'into' in operand ? operand : { into: operand };
  const on: unknown = spec['on'] ?? '_id';
  const whenMatched: unknown = spec['whenMatched'] ?? 'merge';
  const whenNotMatched: unknown = spec['whenNotMatched'] ?? 'insert';
  const matchedModes = ['replace', 'keepExisting', 'merge', 'fail'];
  if (!Array.isArray(whenMatched) && (typeof whenMatched !== 'string' || !matchedModes.includes(whenMatched))) {
    throw badValue(`Enumeration value '${String(whenMatched)}' for field 'whenMatched' is not a valid value.`);
  }
  if (typeof whenNotMatched !== 'string' || !['insert', 'discard', 'fail'].includes(whenNotMatched)) {
    throw badValue(`Enumeration value '${String(whenNotMatched)}' for field 'whenNotMatched' is not a valid value.`);
  }
  const names: unknown[] = Array.isArray(on) ? on : [on];
  return {
    target: targetOf(spec['into'], db, '$merge'),
    on: names.map(String),
    whenMatched: Array.isArray(whenMatched) ? documentList(whenMatched, 'whenMatched') : String(whenMatched),
    whenNotMatched,
    variables: isDocument(spec['let']) ? spec['let'] : {},
  };
}

async function merge(context: CommandContext, spec: MergeSpec, documents: readonly Document[]): Promise<void> {
  const unit = createDirectUnit(context.engine, false);
  checkOnFields(unit.ensureCollection(spec.target.db, spec.target.coll), spec.on);
  for (const document of documents) {
    const whole = spec.on.includes('_id') ? withId(document) : document;
    await yieldTurn(context.operation);
    await untilUnlocked(context, () => mergeOne(context, unit, spec, whole));
  }
}

function checkOnFields(collection: Collection, on: readonly string[]): void {
  for (const { spec } of collection.indexes.values()) {
    const paths = Object.keys(spec.key);
    if (spec.unique && paths.length === on.length && paths.every((path) => on.includes(path))) return;
  }
  throw location(51183, 'Cannot find index to verify that join fields will be unique');
}

async function mergeOne(context: CommandContext, unit: Unit, spec: MergeSpec, document: Document): Promise<void> {
  const collection = unit.ensureCollection(spec.target.db, spec.target.coll);
  const filter: Document = {};
  for (const name of spec.on) {
    const value = getField(document, name);
    if (value === undefined || value === null)
      throw location(51132, "$merge write error: 'on' field cannot be missing, null or undefined");
    filter[name] = { $eq: value };
  }
  const test = compileFilter(filter);
  const [match] = await createSearch(
    unit.view(collection),
    planQuery(collection, filter),
    test,
    () => context.operation,
  ).next(1);
  // It was dropped during the search: what is there now counts.
  if (collection.dropped) return mergeOne(context, unit, spec, document);
  if (match === undefined) {
    if (spec.whenNotMatched === 'fail')
      throw new CommandError(
        CODES.MergeStageNoMatchingDocument,
        '$merge could not find a matching document in the target collection for at least one document in the source collection',
      );
    if (spec.whenNotMatched === 'insert') {
      const whole = withId(document);
      unit.insert(collection, encodeStored(whole), whole);
    }
    return;
  }
  if (spec.whenMatched === 'keepExisting') return;
  if (spec.whenMatched === 'fail') throw collection.idIndex.duplicateError(collection.namespace, match.document, '');
  const isPipeline = typeof spec.whenMatched !== 'string';
  const change =
    typeof spec.whenMatched !== 'string'
      ? compileUpdate([...spec.whenMatched], { variables: { new: document, ...spec.variables } })
      : compileUpdate(
          spec.whenMatched === 'replace'
            ? { ...document, _id: match.document['_id'] }
            : { $set: withoutId(document, match.document) },
        );
  const updated = change(match.document, test);
  if (updated === null) return;
  const kind = updated.replaced || isPipeline ? 'replace' : 'update';
  const description = { updatedFields: updated.updatedFields, removedFields: updated.removedFields };
  unit.update(
    collection,
    match.id,
    encodeStored(updated.doc),
    updated.doc,
    kind === 'replace' ? { kind } : { kind, description },
  );
}

/** `_id` is only set where it is the one that is there. */
function withoutId(document: Document, existing: Document): Document {
  const { _id: _own, ...rest } = document;
  return Object.hasOwn(document, '_id') ? { ...rest, _id: existing['_id'] } : rest;
}
