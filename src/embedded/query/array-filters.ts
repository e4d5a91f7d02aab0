import type { Document } from 'bson';
import { badValue, failedToParse, typeMismatch } from '../errors.ts';
import { isDocument } from '../values/types.ts';
import { compileFilter, type FilterOptions } from './filter.ts';
import type { ArrayFilters, Modification } from './update-paths.ts';

/**
 * Compiles a command's `arrayFilters`: for each identifier, the test of an array element.
 *
 * @throws CommandError 9 FailedToParse, 14 TypeMismatch, 2 BadValue
 */
export function compileArrayFilters(specs: readonly unknown[], options: FilterOptions): ArrayFilters {
  const filters = new Map<string, (element: unknown) => boolean>();
  for (const spec of specs) {
    if (!isDocument(spec)) throw typeMismatch('arrayFilters elements must be objects');
    const identifiers = new Set(identifiersOf(spec));
    const [identifier] = identifiers;
    if (identifier === undefined)
      throw failedToParse('Cannot use an expression without a top-level field name in arrayFilters');
    if (identifiers.size > 1) {
      throw failedToParse(
        `Error parsing array filter: Expected a single top-level field name, found ${[...identifiers].map((name) => `'${name}'`).join(' and ')}`,
      );
    }
    if (!/^[a-z][A-Za-z0-9]*$/.test(identifier)) {
      throw badValue(
        `The top-level field name in an array filter must be an alphanumeric string beginning with a lowercase letter, found '${identifier}'`,
      );
    }
    if (filters.has(identifier))
      throw failedToParse(`Found multiple array filters with the same top-level field name ${identifier}`);
    const test = compileFilter(spec, options);
    filters.set(identifier, (element) => test({ [identifier]: element }));
  }
  return filters;
}

function identifiersOf(filter: Document): string[] {
  return Object.entries(filter).flatMap(([name, operand]: [string, unknown]) => {
    if (!name.startsWith('$')) return [name.split('.')[0] ?? name];
    return Array.isArray(operand) ? operand.filter(isDocument).flatMap(identifiersOf) : [];
  });
}

/**
 * Checks that every identifier of an update has a filter and every filter a use.
 *
 * @throws CommandError 2 BadValue, 9 FailedToParse
 */
export function checkArrayFilters(filters: ArrayFilters, modifications: readonly Modification[]): void {
  const unused = new Set(filters.keys());
  for (const { components } of modifications) {
    for (const component of components) {
      const identifier = /^\$\[(\w+)\]$/.exec(component)?.[1];
      if (identifier === undefined) continue;
      if (!filters.has(identifier)) {
        throw badValue(`No array filter found for identifier '${identifier}' in path '${components.join('.')}'`);
      }
      unused.delete(identifier);
    }
  }
  for (const identifier of unused) {
    throw failedToParse(`The array filter for identifier '${identifier}' was not used in the update`);
  }
}
