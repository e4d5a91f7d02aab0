import type { Document } from 'bson';
import { location } from '../errors.ts';
import { integerOf } from '../values/numbers.ts';
import { getField, isDocument, setField, typeName } from '../values/types.ts';
import type { Scope } from './expression.ts';
import { fieldSetter } from './field-setter.ts';
import { PAUSE, type Stage } from './flow.ts';
import type { JoinContext } from './stages-join.ts';

/** `$unwind`: one document per element. */
export function compileUnwind(spec: unknown, _scope: Scope, { pulse }: JoinContext): Stage {
  const path: unknown = isDocument(spec) ? spec['path'] : spec;
  if (typeof path !== 'string')
    throw location(28808, `expected a string as the path for $unwind stage, got ${typeName(path)}`);
  if (!path.startsWith('$'))
    throw location(28818, `path option to $unwind stage should be prefixed with a '$': ${path}`);
  const indexField: unknown = isDocument(spec) ? spec['includeArrayIndex'] : undefined;
  if (indexField !== undefined && (typeof indexField !== 'string' || indexField === '')) {
    throw location(28810, 'expected a non-empty string for the includeArrayIndex option to $unwind stage');
  }
  const keepsEmpty = isDocument(spec) && spec['preserveNullAndEmptyArrays'] === true;
  const components = path.slice(1).split('.');
  const setIndex = typeof indexField === 'string' ? fieldSetter(indexField) : undefined;
  const numbered = (document: Document, index: number | null): Document =>
    setIndex === undefined ? document : setIndex(document, index === null ? null : integerOf(index, 'long'));
  return function* unwind(documents) {
    for (const document of documents) {
      if (document === PAUSE) {
        yield PAUSE;
        continue;
      }
      const value = plainPath(document, components);
      if (Array.isArray(value) && value.length > 0) {
        for (const [index, element] of value.entries()) {
          yield numbered(replaceAt(document, components, 0, element), index);
          if (pulse.isDue()) yield PAUSE;
        }
      } else if (Array.isArray(value)) {
        if (keepsEmpty) yield numbered(replaceAt(document, components, 0, undefined), null);
      } else if (keepsEmpty || (value !== undefined && value !== null)) {
        yield numbered(document, null);
      }
    }
  };
}

/** A path through documents only: `$unwind` does not look into arrays on the way. */
function plainPath(document: Document, components: readonly string[]): unknown {
  let value: unknown = document;
  for (const component of components) value = isDocument(value) ? getField(value, component) : undefined;
  return value;
}

/** A copy of the documents along the path with the value at its end replaced; undefined removes it. */
function replaceAt(document: Document, components: readonly string[], at: number, value: unknown): Document {
  const component = components[at] ?? '';
  const copy: Document = {};
  for (const key of Object.keys(document)) {
    const old: unknown = document[key];
    const next =
      key !== component
        ? old
        : at === components.length - 1
          ? value
          : isDocument(old)
            ? replaceAt(old, components, at + 1, value)
            : old;
    if (next !== undefined) setField(copy, key, next);
  }
  return copy;
}
