import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, failedToParse } from '../errors.ts';
import { yieldTurn } from '../operation.ts';
import type { WriteOrigin } from '../oplog/oplog.ts';
import { compileFilter } from '../query/filter.ts';
import type { DocumentTest } from '../query/path.ts';
import { compileSort } from '../query/sort.ts';
import { compileUpdate, type UpdateOptions } from '../query/update.ts';
import { upsertDocument } from '../query/upsert.ts';
import type { Unit } from '../sessions/unit.ts';
import type { Collection } from '../storage/collection.ts';
import { encodeStored } from '../storage/incoming.ts';
import { planQuery } from '../storage/plan.ts';
import { createSearch, type Match } from '../storage/search.ts';
import { collationOrder } from '../values/collation.ts';
import type { CommandContext } from './command.ts';
import { checkValidator, untilUnlocked } from './write-batch.ts';

/** Which documents a write is about. */
export interface Selection {
  readonly query: Document;
  readonly test: DocumentTest;
  readonly sort: Document | undefined;
  readonly hint: unknown;
  readonly collation: Document | undefined;
  readonly variables: Readonly<Record<string, unknown>> | undefined;
}

export function selection(query: Document, settings: Omit<Selection, 'query' | 'test'>): Selection {
  const strings = collationOrder(settings.collation);
  const variables = settings.variables;
  return {
    query,
    test: compileFilter(query, { strings, ...(variables === undefined ? {} : { variables }) }),
    ...settings,
  };
}

/** The first match (in the order of `sort`) or, without a limit, all of them. */
export async function select(
  context: CommandContext,
  unit: Unit,
  collection: Collection,
  wanted: Selection,
  limit: number,
): Promise<Match[]> {
  // A collation orders strings otherwise than the indexes do.
  const usable = wanted.collation === undefined;
  const turn = yieldTurn(context.operation);
  if (turn !== undefined) await turn;
  const plan = planQuery(collection, usable ? wanted.query : {}, wanted.sort, wanted.hint);
  const sorts = wanted.sort !== undefined && !(plan.sorted && !unit.view(collection).hasLoose());
  const search = createSearch(unit.view(collection), plan, wanted.test, () => context.operation);
  const matches = await search.next(sorts ? Number.POSITIVE_INFINITY : limit);
  if (sorts && wanted.sort !== undefined) {
    const compare = compileSort(wanted.sort, collationOrder(wanted.collation));
    matches.sort((a, b) => compare(a.document, b.document));
  }
  return matches.slice(0, limit);
}

export interface Modified {
  readonly before: Document;
  readonly after: Document;
  readonly changed: boolean;
}

/** A compiled update and how to apply it to one document of a collection. */
export interface Modifier {
  apply(
    collection: Collection,
    match: Match,
    test: DocumentTest,
    origin?: (before: Document, after: Document) => WriteOrigin | undefined,
  ): Modified;
  upsert(collection: Collection, query: Document, origin?: (document: Document) => WriteOrigin | undefined): Document;
}

/** Until 5.0 a document of a capped collection keeps its size. @throws CommandError 10003 */
function checkCappedSize(collection: Collection, before: Buffer, after: Buffer): void {
  if (collection.options.capped === undefined || before.length === after.length) return;
  throw new CommandError(
    CODES.CannotGrowDocumentInCappedNamespace,
    `Cannot change the size of a document in a capped collection: ${before.length} != ${after.length}`,
  );
}

export function createModifier(
  unit: Unit,
  update: Document | readonly Document[],
  options: UpdateOptions,
  bypass: boolean,
): Modifier {
  const change = compileUpdate(update, options);
  return {
    apply(collection, match, test, origin) {
      const updated = change(match.document, test);
      if (updated === null) return { before: match.document, after: match.document, changed: false };
      const raw = encodeStored(updated.doc);
      checkValidator(collection, updated.doc, bypass);
      if (!options.modern) checkCappedSize(collection, match.raw, raw);
      const { updatedFields, removedFields, truncatedArrays } = updated;
      const description = {
        updatedFields,
        removedFields,
        ...(truncatedArrays.length === 0 ? {} : { truncatedArrays }),
      };
      unit.update(
        collection,
        match.id,
        raw,
        updated.doc,
        updated.replaced ? { kind: 'replace' } : { kind: 'update', description },
        origin?.(match.document, updated.doc),
      );
      return { before: match.document, after: updated.doc, changed: true };
    },
    upsert(collection, query, origin) {
      const document = upsertDocument(query, update, options);
      const raw = encodeStored(document);
      checkValidator(collection, document, bypass);
      unit.insert(collection, raw, document, origin?.(document));
      return document;
    },
  };
}

/**
 * Applies `write` to a selected document, which may have changed while a transaction was waited for: it is then read
 * and tested again, and passed over when it no longer matches.
 */
export async function onCurrent<T>(
  context: CommandContext,
  unit: Unit,
  collection: Collection,
  match: Match,
  test: DocumentTest,
  reread: (raw: Buffer) => Document,
  write: (current: Match) => T,
): Promise<T | undefined> {
  const turn = yieldTurn(context.operation);
  if (turn !== undefined) await turn;
  return untilUnlocked(context, () => {
    if (collection.dropped) return undefined;
    const raw = unit.view(collection).get(match.id);
    if (raw === undefined) return undefined;
    if (raw === match.raw) return write(match);
    const document = reread(raw);
    return test(document) ? write({ id: match.id, raw, document }) : undefined;
  });
}

/** @throws CommandError 9 FailedToParse */
export function checkUpsertMulti(update: unknown, multi: boolean): void {
  if (
    multi &&
    !Array.isArray(update) &&
    typeof update === 'object' &&
    update !== null &&
    Object.keys(update)[0]?.startsWith('$') !== true
  ) {
    throw failedToParse('multi update is not supported for replacement-style update');
  }
}
