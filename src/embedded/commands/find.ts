import { type Document, Long } from 'bson';
import { compileFilter } from '../query/filter.ts';
import { checkNamespace } from '../storage/catalog.ts';
import { rawBatch } from '../wire/writer.ts';
import { FIRST_BATCH, openCursor } from './batch.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import { snapshotTime } from './concerns.ts';
import { collectionName, optionalBoolean, optionalCount } from './fields.ts';
import { findRequest, findSource } from './find-source.ts';
import { isOplog, oplogSource } from './oplog-source.ts';
import { tailSource } from './tailable.ts';
import { passWaitPoint } from './testing.ts';
import { viewSource } from './views.ts';
import { unitOf } from './write-batch.ts';

async function run(context: CommandContext): Promise<Document> {
  const { body, db } = context;
  const name = collectionName(body, 'find');
  checkNamespace(db, name);
  const request = findRequest(body);
  const namespace = `${db}.${name}`;
  const batchSize = optionalCount(body, 'batchSize') ?? FIRST_BATCH;
  const cursor = {
    namespace,
    batchSize,
    singleBatch: optionalBoolean(body, 'singleBatch') ?? false,
    noTimeout: optionalBoolean(body, 'noCursorTimeout') ?? false,
  };
  const tails = optionalBoolean(body, 'tailable') ?? false;
  const awaits = optionalBoolean(body, 'awaitData') ?? false;
  if (isOplog(context, db, name)) return openCursor(context, oplogSource(context, request, { tails, awaits }), cursor);
  const collection = unitOf(context).collection(db, name);
  if (collection === undefined) {
    compileFilter(request.filter);
    return { cursor: { id: Long.ZERO, ns: namespace, firstBatch: rawBatch([]), ...snapshotTime(context) } };
  }
  const source = tails
    ? tailSource(context, collection, request, awaits)
    : collection.options.view === undefined
      ? findSource(context, collection, request)
      : await viewSource(context, collection, request);
  await passWaitPoint(context.engine, 'waitInFindBeforeMakingBatch', namespace, context.operation);
  return openCursor(context, source, cursor);
}

export const find: Command = {
  name: 'find',
  fields: fields(
    'filter',
    'sort',
    'projection',
    'hint',
    'skip',
    'limit',
    'batchSize',
    'singleBatch',
    'max',
    'min',
    'returnKey',
    'showRecordId',
    'tailable',
    'oplogReplay',
    'noCursorTimeout',
    'awaitData',
    'allowPartialResults',
    'collation',
    'allowDiskUse',
    'ntoreturn',
  ),
  modernFields: fields('let'),
  unknownField: 9,
  inTransaction: true,
  snapshotReads: true,
  run,
};
