import { type Document, Timestamp } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, failedToParse } from '../errors.ts';
import type { StringOrder } from '../values/compare.ts';
import { valuesEqual, valuesIdentical } from '../values/compare.ts';
import { copyDocument, getField, isDocument, setField } from '../values/types.ts';
import { checkArrayFilters, compileArrayFilters } from './array-filters.ts';
import { compileUpdatePipeline } from './document-stages.ts';
import type { DocumentTest, MatchDetails } from './path.ts';
import { describeDifference } from './update-diff.ts';
import type { UpdateClock } from './update-modifiers.ts';
import { isPositional, parseOperators, positioned, renameSteps } from './update-operators.ts';
import { applyModification, type Changes, checkStorable } from './update-paths.ts';

export interface UpdateOptions {
  readonly arrayFilters?: readonly unknown[] | undefined;
  /** Whether the result is a document to insert: `$setOnInsert` takes effect, `_id` may still be set. */
  readonly isInsert?: boolean | undefined;
  readonly strings?: StringOrder | undefined;
  /** `$$NOW`, and `$currentDate`'s date. By default the time of the call. */
  readonly now?: Date | undefined;
  /** The value of `$currentDate: {$type: "timestamp"}`; by default made of `now`. */
  readonly timestamp?: Timestamp | undefined;
  /**
   * As servers since 5.0: field names within values may start with `$`, an operator may be empty, a pipeline is
   * described by the difference it made, a created path by its first new field. By default as 4.4.
   */
  readonly modern?: boolean | undefined;
  /** The command's `let` (pipelines only). */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
}

/** A document after an update that changed it. */
export interface Updated {
  readonly doc: Document;
  /** As a change stream's `updateDescription`: dotted path to new value. */
  readonly updatedFields: Document;
  readonly removedFields: string[];
  /** Arrays that a pipeline cut short. 4.4 has no such notion: there always empty. */
  readonly truncatedArrays: readonly { readonly field: string; readonly newSize: number }[];
  /** Whether the change is logged as a replacement: replacement documents and, on 4.4, pipelines. */
  readonly replaced: boolean;
}

/**
 * Applies the update to a document, which stays as it was.
 *
 * `filter` is the compiled query of the command; the positional operator `$` asks it for its index.
 *
 * @returns null when nothing changes, BSON types included
 * @throws CommandError 66 ImmutableField, 28 PathNotViable, 14 TypeMismatch, 2 BadValue ...
 */
export type Update = (document: Document, filter?: DocumentTest) => Updated | null;

/**
 * Compiles an update: operators, a replacement document, or a pipeline.
 *
 * @throws CommandError for an update that does not parse, with MongoDB's codes
 */
export function compileUpdate(update: Document | readonly Document[], options: UpdateOptions = {}): Update {
  if (Array.isArray(update)) {
    if (options.arrayFilters !== undefined)
      throw failedToParse('arrayFilters may not be specified for pipeline-syle updates');
    return compilePipeline(update, options);
  }
  if (!isDocument(update)) throw failedToParse('Update argument must be either an object or an array');
  return isOperatorUpdate(update) ? compileOperators(update, options) : compileReplacement(update, options);
}

/** Whether an update document holds operators; the empty document is a replacement. */
export function isOperatorUpdate(update: Document): boolean {
  return Object.keys(update)[0]?.startsWith('$') === true;
}

function clockOf(options: UpdateOptions): UpdateClock {
  const now = (): Date => options.now ?? new Date();
  const timestamp = (): Timestamp =>
    options.timestamp ?? new Timestamp({ t: Math.floor(now().getTime() / 1000), i: 1 });
  return { now, timestamp };
}

function compileOperators(update: Document, options: UpdateOptions): Update {
  const operators = parseOperators(update, clockOf(options), options.modern === true);
  const all = [...operators.modifications, ...operators.onInsert];
  const filters = compileArrayFilters(options.arrayFilters ?? [], { strings: options.strings });
  checkArrayFilters(filters, all);
  const active = options.isInsert === true ? all : operators.modifications;
  const asksPosition = active.some(isPositional);
  return (document, filter) => {
    const doc = copyDocument(document);
    const changes: Changes = { updatedFields: {}, removedFields: [], modern: options.modern === true };
    const index = asksPosition ? matchedIndex(document, filter) : undefined;
    for (const modification of active) applyModification(doc, positioned(modification, index), filters, changes);
    for (const rename of operators.renames) {
      for (const step of renameSteps(doc, rename)) applyModification(doc, step, filters, changes);
    }
    const { updatedFields, removedFields } = changes;
    if (Object.keys(updatedFields).length === 0 && removedFields.length === 0) return null;
    return { doc, updatedFields, removedFields, truncatedArrays: [], replaced: false };
  };
}

function matchedIndex(document: Document, filter: DocumentTest | undefined): number | undefined {
  const details: MatchDetails = { index: undefined };
  filter?.(document, details);
  return details.index;
}

function compileReplacement(replacement: Document, options: UpdateOptions): Update {
  if (options.modern === true) checkTopLevel(replacement);
  else checkStorable(replacement, '');
  const hasEmpty = Object.entries(replacement).some(([name, value]) => name !== '_id' && isEmptyTimestamp(value));
  if (!hasEmpty) return (document) => replaced(document, withId(document, replacement));
  const { timestamp } = clockOf(options);
  return (document) => {
    const filled: Document = {};
    for (const [name, value] of Object.entries(replacement) as [string, unknown][])
      setField(filled, name, name !== '_id' && isEmptyTimestamp(value) ? timestamp() : value);
    return replaced(document, withId(document, filled));
  };
}

/** A timestamp of all zeros at the top of a stored document stands for "now". */
function isEmptyTimestamp(value: unknown): boolean {
  return value instanceof Timestamp && value.isZero();
}

/** Since 5.0 only the names at the top of a replacement are restricted. */
function checkTopLevel(replacement: Document): void {
  for (const name of Object.keys(replacement)) if (name.startsWith('$')) checkStorable({ [name]: null }, '');
}

/** The replacement with the old `_id` in first place. */
function withId(document: Document, replacement: Document): Document {
  const id = getField(replacement, '_id') ?? getField(document, '_id');
  const doc: Document = id === undefined ? {} : { _id: id };
  for (const [key, value] of Object.entries(replacement)) if (key !== '_id') setField(doc, key, value);
  return doc;
}

function replaced(before: Document, doc: Document): Updated | null {
  const id = getField(before, '_id');
  if (id !== undefined && !valuesEqual(id, getField(doc, '_id'))) {
    throw new CommandError(
      CODES.ImmutableField,
      "After applying the update, the (immutable) field '_id' was found to have been altered",
    );
  }
  if (valuesIdentical(before, doc)) return null;
  return { doc, updatedFields: {}, removedFields: [], truncatedArrays: [], replaced: true };
}

function compilePipeline(pipeline: readonly Document[], options: UpdateOptions): Update {
  const transform = compileUpdatePipeline(pipeline, options);
  return (document) => {
    const doc = withId(document, transform(document));
    if (options.modern !== true) checkStorable(doc, '');
    const result = replaced(document, doc);
    if (result === null || options.modern !== true) return result;
    const difference = describeDifference(document, doc);
    return difference === undefined ? result : { doc, ...difference, replaced: false };
  };
}
