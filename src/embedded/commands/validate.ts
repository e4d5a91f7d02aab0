import { type Document, Long } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { type BadEntry, type Validation, validateCollection } from '../storage/validate.ts';
import { type Command, fields } from './command.ts';
import { collectionName } from './fields.ts';
import { counted } from './stats.ts';
import { rejectView } from './targets.ts';

/** Entries shown in an answer; all are counted. */
const MAX_SHOWN = 1000;

function shown(entries: readonly BadEntry[]): Document[] {
  return entries.slice(0, MAX_SHOWN).map(({ index, recordId, idKey }) => ({
    indexName: index.spec.name,
    recordId: Long.fromNumber(recordId),
    ...(idKey === undefined ? {} : { idKey }),
  }));
}

function problemsOf({ missing, extra, invalidDocuments, miscounts }: Validation): string[] {
  return [
    ...(missing.length > 0 ? [`Detected ${missing.length} missing index entries.`] : []),
    ...(extra.length > 0 ? [`Detected ${extra.length} extra index entries.`] : []),
    ...(invalidDocuments > 0 ? [`Detected ${invalidDocuments} invalid documents.`] : []),
    ...miscounts,
  ];
}

/**
 * Always full, always in the background: `full` and `background` change nothing. It repairs nothing, and refuses what
 * asks it to.
 */
export const validate: Command = {
  name: 'validate',
  fields: fields('full', 'background'),
  unknownField: 40415,
  async run({ engine, body, db, operation }) {
    const name = collectionName(body, 'validate');
    const collection = engine.catalog.find(db, name);
    if (collection === undefined)
      throw new CommandError(CODES.NamespaceNotFound, `Collection '${db}.${name}' does not exist to validate.`);
    rejectView(collection);
    const validation = await validateCollection(collection, engine.catalog.commits, operation);
    const { indexes, missing, extra, invalidDocuments, nonCompliantDocuments } = validation;
    const problems = problemsOf(validation);
    const bad = new Set([...missing, ...extra].map(({ index }) => index));
    const compliance = 'Detected one or more documents not compliant with the collection validator.';
    return {
      ns: collection.namespace,
      ...(engine.modern ? { uuid: collection.uuid, nNonCompliantDocuments: counted(nonCompliantDocuments) } : {}),
      nInvalidDocuments: counted(invalidDocuments),
      nrecords: counted(collection.records.size),
      nIndexes: counted(indexes.length),
      keysPerIndex: Object.fromEntries(indexes.map(({ spec, keys }) => [spec.name, counted(keys.size)])),
      indexDetails: Object.fromEntries(indexes.map((index) => [index.spec.name, { valid: !bad.has(index) }])),
      valid: problems.length === 0,
      ...(engine.modern ? { repaired: false } : {}),
      warnings: nonCompliantDocuments > 0 ? [compliance] : [],
      errors: problems,
      extraIndexEntries: shown(extra),
      missingIndexEntries: shown(missing),
    };
  },
};
