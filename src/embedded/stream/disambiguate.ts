import { type Document, Int32 } from 'bson';
import { getField, isDocument } from '../values/types.ts';

const NUMBER = /^(0|[1-9]\d*)$/;

/**
 * `disambiguatedPaths` of an update: for paths with a number in them, which parts are array indexes (as numbers) and
 * which are names of fields (as strings).
 */
export function disambiguatedPaths(paths: readonly string[], after: Document): Document {
  const found: Document = {};
  for (const path of paths) {
    const parts = path.split('.');
    if (!parts.some((part) => NUMBER.test(part))) continue;
    let value: unknown = after;
    const typed = parts.map((part) => {
      const inArray = Array.isArray(value) && NUMBER.test(part);
      value = Array.isArray(value) ? value[Number(part)] : isDocument(value) ? getField(value, part) : undefined;
      return inArray ? new Int32(Number(part)) : part;
    });
    // Only a field's name that looks like an index, or a number at the top, leaves a reader in doubt.
    if (typed.some((part) => typeof part === 'string' && NUMBER.test(part))) found[path] = typed;
  }
  return found;
}
