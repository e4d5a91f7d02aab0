import { isNamed, valueEnd, valueStartOf } from '../wire/raw.ts';
import type { CollectionIndex, IndexKeys } from './collection-index.ts';
import { inverted, keyString, rawKeyString } from './key-string.ts';

/** An index's fields by their place among those that are looked for. */
interface Part {
  readonly index: CollectionIndex;
  readonly fields: readonly { readonly at: number; readonly descending: boolean }[];
}

const MISSING = keyString(undefined);

/**
 * Takes the keys of documents out of their bytes, without decoding them: most of what a start from a long log takes.
 * Undefined for indexes, and the result for documents, that need a closer look: paths into documents, arrays, filters.
 */
export function createRawKeys(
  indexes: readonly CollectionIndex[],
): ((raw: Buffer) => IndexKeys | undefined) | undefined {
  const needLook = ({ fields, partial }: CollectionIndex) => partial || fields.some(({ path }) => path.includes('.'));
  if (indexes.some(needLook)) return undefined;
  const paths = [...new Set(indexes.flatMap(({ fields }) => fields.map(({ path }) => path)))];
  const names = paths.map((path) => Buffer.from(path));
  const parts: Part[] = indexes.map((index) => ({
    index,
    fields: index.fields.map(({ path, descending }) => ({ at: paths.indexOf(path), descending })),
  }));
  // Where `_id` alone is indexed there is nothing to look for behind it: it stands first.
  const onlyId = paths.length === 1;

  return (raw) => {
    const found: (string | undefined)[] = [];
    const last = raw.length - 1;
    for (let start = 4; start < last; ) {
      const from = valueStartOf(raw, start);
      const type = raw[start] ?? 0;
      for (let at = 0; at < names.length; at += 1) {
        const name = names[at];
        if (name === undefined || !isNamed(raw, start, name)) continue;
        const key = rawKeyString(raw, type, from);
        if (key === undefined) return undefined;
        found[at] = key;
      }
      if (onlyId) break;
      start = valueEnd(raw, type, from, last);
    }
    const keys = new Map<CollectionIndex, readonly string[]>();
    for (const { index, fields } of parts) {
      let key = '';
      for (const { at, descending } of fields) {
        const part = found[at] ?? MISSING;
        key += descending ? inverted(part) : part;
      }
      keys.set(index, [key]);
    }
    return keys;
  };
}
