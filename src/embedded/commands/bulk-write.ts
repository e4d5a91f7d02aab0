import { type Document, Int32 } from 'bson';
import { CODES } from '../codes.ts';
import { badValue, CommandError, failedToParse } from '../errors.ts';
import { yieldTurn } from '../operation.ts';
import { decode, encode } from '../values/bson.ts';
import { toInteger } from '../values/numbers.ts';
import { getField } from '../values/types.ts';
import { rawElements } from '../wire/raw.ts';
import { listSource, openCursor } from './batch.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import { runDelete } from './delete.ts';
import { checkFields, documentList, missingField, optionalBoolean, optionalCount, optionalDocument } from './fields.ts';
import { insertDocument } from './insert.ts';
import { runUpdate } from './update.ts';
import {
  checkBatchSize,
  earlierOutcome,
  endsBatch,
  remember,
  statementNumber,
  unitOf,
  untilUnlocked,
} from './write-batch.ts';

interface Namespace {
  readonly db: string;
  readonly coll: string;
}

interface Totals {
  nErrors: number;
  nInserted: number;
  nMatched: number;
  nModified: number;
  nUpserted: number;
  nDeleted: number;
}

function parseNamespaces(body: Document): Namespace[] {
  if (body['nsInfo'] === undefined) throw missingField('bulkWrite.nsInfo');
  return documentList(body['nsInfo'], 'bulkWrite.nsInfo').map((info) => {
    const ns: unknown = info['ns'];
    const dot = typeof ns === 'string' ? ns.indexOf('.') : -1;
    if (typeof ns !== 'string' || dot <= 0)
      throw new CommandError(CODES.InvalidNamespace, `Invalid namespace specified '${String(ns)}'`);
    return { db: ns.slice(0, dot), coll: ns.slice(dot + 1) };
  });
}

const KINDS = ['insert', 'update', 'delete'] as const;
const OP_FIELDS = {
  insert: fields('insert', 'document'),
  update: fields(
    'update',
    'filter',
    'updateMods',
    'multi',
    'upsert',
    'arrayFilters',
    'hint',
    'constants',
    'collation',
    'sort',
    'upsertSupplied',
    'sampleId',
  ),
  delete: fields('delete', 'filter', 'multi', 'hint', 'collation', 'sampleId'),
} as const;

function rawDocument(op: Buffer): Buffer {
  for (const element of rawElements(op)) {
    if (element.name === 'document' && element.type === 3) return op.subarray(element.valueStart, element.end);
  }
  throw missingField('bulkWrite.insert.document');
}

/** One operation, in the words of the single command that it stands for. @returns its result fields */
async function runOperation(
  context: CommandContext,
  namespaces: readonly Namespace[],
  raw: Buffer,
  number: number,
): Promise<Document> {
  const op = decode(raw);
  const kind = KINDS.find((one) => Object.keys(op)[0] === one);
  if (kind === undefined) throw failedToParse('BSON field in bulkWrite.ops must begin with insert, update or delete');
  checkFields(op, `bulkWrite.${kind}`, 40415, OP_FIELDS[kind]);
  const index = toInteger(op[kind]) ?? -1;
  const ns = namespaces[index];
  if (ns === undefined) throw badValue(`BulkWrite ops entry has an invalid nsInfo index: ${index}`);
  const within: CommandContext = { ...context, db: ns.db, body: { ...context.body, [kind]: ns.coll } };
  const limit = optionalBoolean(op, 'multi') === true ? 0 : 1;
  if (kind === 'insert') {
    const unit = unitOf(within);
    const bypass = optionalBoolean(context.body, 'bypassDocumentValidation') ?? false;
    await yieldTurn(context.operation);
    await untilUnlocked(within, () => insertDocument(within, unit, ns.coll, rawDocument(raw), number, bypass));
    return { n: 1 };
  }
  if (kind === 'delete') {
    return { n: await runDelete(within, { q: op['filter'], limit, ...only(op, 'hint', 'collation') }, number) };
  }
  const statement = {
    q: op['filter'],
    u: op['updateMods'],
    multi: limit === 0,
    upsert: op['upsert'] === true,
    ...only(op, 'arrayFilters', 'hint', 'collation', 'sort'),
  };
  return runUpdate(within, op['constants'] === undefined ? statement : { ...statement, c: op['constants'] }, number);
}

function only(document: Document, ...names: string[]): Document {
  return Object.fromEntries(names.filter((name) => document[name] !== undefined).map((name) => [name, document[name]]));
}

function count(totals: Totals, raw: Buffer, result: Document): void {
  const kind = rawElements(raw).next().value?.name;
  const n = Number(result['n']);
  if (kind === 'insert') totals.nInserted += n;
  else if (kind === 'delete') totals.nDeleted += n;
  else if (Object.hasOwn(result, 'upserted')) totals.nUpserted += 1;
  else {
    totals.nMatched += n;
    totals.nModified += Number(result['nModified']);
  }
}

function resultDocument(index: number, result: Document): Document {
  return {
    ok: 1,
    idx: new Int32(index),
    n: new Int32(Number(result['n'])),
    ...(result['nModified'] === undefined ? {} : { nModified: new Int32(Number(result['nModified'])) }),
    ...(Object.hasOwn(result, 'upserted') ? { upserted: { _id: getField(result, 'upserted') } } : {}),
  };
}

/** Writes to several collections in one command: since 8.0. */
export const bulkWrite: Command = {
  name: 'bulkWrite',
  fields: fields('ops', 'nsInfo', 'ordered', 'bypassDocumentValidation', 'let', 'errorsOnly', 'cursor'),
  unknownField: 40415,
  batchField: 'ops',
  adminOnly: true,
  writes: true,
  inTransaction: true,
  writeConcern: true,
  modernOnly: true,
  async run(context) {
    const { body, batch } = context;
    checkBatchSize(batch.length);
    const namespaces = parseNamespaces(body);
    const ordered = optionalBoolean(body, 'ordered') ?? true;
    const errorsOnly = optionalBoolean(body, 'errorsOnly') ?? false;
    const totals: Totals = { nErrors: 0, nInserted: 0, nMatched: 0, nModified: 0, nUpserted: 0, nDeleted: 0 };
    const results: Uint8Array[] = [];
    for (const [index, raw] of batch.entries()) {
      const number = statementNumber(body, index);
      try {
        const result = earlierOutcome(context, number) ?? (await runOperation(context, namespaces, raw, number));
        remember(context, number, result);
        count(totals, raw, result);
        if (!errorsOnly) results.push(encode(resultDocument(index, result)));
      } catch (error) {
        if (!(error instanceof CommandError) || endsBatch(context, error)) throw error;
        totals.nErrors += 1;
        const { errorLabels: _labels, ...extra } = error.extra;
        results.push(
          encode({
            ok: 0,
            idx: new Int32(index),
            code: new Int32(error.code),
            errmsg: error.message,
            n: new Int32(0),
            ...extra,
          }),
        );
        if (ordered) break;
      }
    }
    const source = listSource(results);
    const batchSize = optionalCount(optionalDocument(body, 'cursor') ?? {}, 'batchSize') ?? Number.POSITIVE_INFINITY;
    const reply = await openCursor(context, source, {
      namespace: 'admin.$cmd.bulkWrite',
      batchSize,
      singleBatch: false,
      noTimeout: false,
    });
    return { ...reply, ...Object.fromEntries(Object.entries(totals).map(([name, total]) => [name, new Int32(total)])) };
  },
};
