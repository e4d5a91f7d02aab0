import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, failedToParse, location } from '../errors.ts';
import { isChangeStream, openChangeStream } from '../stream/open.ts';
import { toNumber } from '../values/numbers.ts';
import { FIRST_BATCH, openCursor } from './batch.ts';
import { type Command, type CommandContext, fields } from './command.ts';
import { explainQuery } from './explain.ts';
import { documentList, missingField, optionalBoolean, optionalCount, optionalDocument } from './fields.ts';
import { labelled } from './get-more.ts';
import { pipelineSource } from './pipeline.ts';

/** The collection that an aggregation is over; undefined for one over a whole database. @throws CommandError 9, 73 */
function target(body: Document): string | undefined {
  const value: unknown = body['aggregate'];
  if (typeof value === 'string') {
    if (value === '' || value.includes('\0') || value.startsWith('$'))
      throw new CommandError(CODES.InvalidNamespace, `Invalid collection name specified '${value}'`);
    return value;
  }
  if (toNumber(value) !== 1)
    throw failedToParse("Invalid command format: the 'aggregate' field must specify a collection name or 1");
  return undefined;
}

async function run(context: CommandContext): Promise<Document> {
  const { body, db, engine } = context;
  const coll = target(body);
  if (body['pipeline'] === undefined) throw missingField('aggregate.pipeline');
  const pipeline = documentList(body['pipeline'], 'aggregate.pipeline');
  const cursor = optionalDocument(body, 'cursor');
  if (cursor === undefined && optionalBoolean(body, 'explain') !== true) {
    throw failedToParse("The 'cursor' option is required, except for aggregate with the explain argument");
  }
  for (const stage of pipeline) {
    if (Object.keys(stage).length !== 1) {
      throw location(40323, 'A pipeline stage specification object must contain exactly one field.');
    }
  }
  if (optionalBoolean(body, 'explain') === true) return explainQuery(context, body, 'queryPlanner');
  const level: unknown = optionalDocument(body, 'readConcern')?.['level'];
  const last = Object.keys(pipeline.at(-1) ?? {})[0];
  if (level === 'linearizable' && (last === '$out' || last === '$merge')) {
    throw new CommandError(CODES.InvalidOptions, `${last} cannot be used with a 'linearizable' read concern level`);
  }
  const batchSize = optionalCount(cursor ?? {}, 'batchSize') ?? FIRST_BATCH;
  const request = { namespace: `${db}.${coll ?? '$cmd.aggregate'}`, batchSize, singleBatch: false, noTimeout: false };
  if (!isChangeStream(pipeline)) return openCursor(context, await pipelineSource(context, coll, pipeline), request);
  if (level !== undefined && level !== 'majority') {
    throw new CommandError(
      CODES.InvalidOptions,
      `$changeStream cannot run with a readConcern other than 'majority', or in a multi-document transaction. Current readConcern: ${String(level)}`,
    );
  }
  if (context.transaction !== undefined)
    throw new CommandError(CODES.OperationNotSupportedInTransaction, '$changeStream cannot be used in a transaction');
  try {
    return await openCursor(context, openChangeStream(engine, db, coll, pipeline), request);
  } catch (error) {
    throw labelled(error);
  }
}

export const aggregate: Command = {
  name: 'aggregate',
  fields: fields(
    'pipeline',
    'cursor',
    'explain',
    'allowDiskUse',
    'bypassDocumentValidation',
    'collation',
    'hint',
    'needsMerge',
    'fromMongos',
    'isMapReduceCommand',
    'requestReshardingResumeToken',
  ),
  modernFields: fields('let'),
  unknownField: 9,
  inTransaction: true,
  snapshotReads: true,
  writeConcern: true,
  run,
};
