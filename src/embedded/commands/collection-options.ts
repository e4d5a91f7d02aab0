import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, location } from '../errors.ts';
import { compilePipeline } from '../query/aggregate.ts';
import { compileFilter } from '../query/filter.ts';
import type { CollectionOptions } from '../storage/collection.ts';
import { documentList, optionalBoolean, optionalDocument, optionalInteger, optionalString } from './fields.ts';

/** What collMod can change. */
export const CHANGEABLE_OPTIONS = [
  'validator',
  'validationLevel',
  'validationAction',
  'viewOn',
  'pipeline',
  'changeStreamPreAndPostImages',
] as const;

const SHOWN_OPTIONS = ['capped', 'size', 'max', ...CHANGEABLE_OPTIONS, 'expireAfterSeconds'];
/** Of later servers or other engines: known to `create`, and refused. */
const FOREIGN_OPTIONS = ['timeseries', 'clusteredIndex', 'encryptedFields', 'indexOptionDefaults'];

/** All options that `create` knows the names of. */
export const CREATE_OPTIONS: readonly string[] = [
  ...SHOWN_OPTIONS,
  ...FOREIGN_OPTIONS,
  'autoIndexId',
  'idIndex',
  'storageEngine',
  'collation',
  'temp',
  'flags',
];

/** What a create asks for. @throws CommandError 72, 67, 2 */
export function collectionOptions(body: Document, modern: boolean): CollectionOptions {
  const shown: Record<string, unknown> = {};
  const capped = optionalBoolean(body, 'capped') ?? false;
  const size = optionalInteger(body, 'size');
  const max = optionalInteger(body, 'max');
  if (capped && size === undefined)
    throw new CommandError(CODES.InvalidOptions, "the 'size' field is required when 'capped' is true");
  if (!capped && (size !== undefined || max !== undefined) && body['timeseries'] === undefined) {
    throw new CommandError(
      CODES.InvalidOptions,
      "the 'capped' field needs to be true when either the 'size' or 'max' fields are present",
    );
  }
  for (const name of FOREIGN_OPTIONS) {
    if (body[name] !== undefined)
      throw new CommandError(CODES.InvalidOptions, `This server has no collections with '${name}'`);
  }
  const locale: unknown = optionalDocument(body, 'collation')?.['locale'];
  if (locale !== undefined && locale !== 'simple')
    throw new CommandError(CODES.InvalidOptions, 'This server has no collections with a default collation');
  const validator = optionalDocument(body, 'validator');
  for (const name of SHOWN_OPTIONS) if (body[name] !== undefined) shown[name] = body[name];
  const preAndPost = optionalDocument(body, 'changeStreamPreAndPostImages');
  if (preAndPost !== undefined && !modern)
    throw location(40415, "BSON field 'create.changeStreamPreAndPostImages' is an unknown field.");
  const viewOn = optionalString(body, 'viewOn');
  const pipeline = body['pipeline'] === undefined ? [] : documentList(body['pipeline'], 'create.pipeline');
  if (viewOn === undefined && body['pipeline'] !== undefined)
    throw new CommandError(CODES.InvalidOptions, "'pipeline' requires 'viewOn' to also be specified");
  if (viewOn !== undefined) compilePipeline(pipeline, { lookup: () => [] });
  const warns = body['validationAction'] === 'warn' || body['validationLevel'] === 'off';
  return {
    shown,
    preImages: preAndPost?.['enabled'] === true,
    ...(capped && size !== undefined
      ? { capped: { size: Math.ceil(size / 256) * 256, max: max === undefined || max <= 0 ? undefined : max } }
      : {}),
    ...(viewOn === undefined ? {} : { view: { on: viewOn, pipeline } }),
    ...(validator === undefined || warns ? {} : { validator: compileFilter(validator) }),
  };
}
