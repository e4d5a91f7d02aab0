import { isDocument, numberOf, type RawDocument } from './bson-value.ts';

/** What a change stream says about an in-place update. Absolute: it states what is now, not what was added. */
export interface UpdateDescription {
  readonly updatedFields?: RawDocument | null | undefined;
  readonly removedFields?: readonly string[] | null | undefined;
  readonly truncatedArrays?: readonly { readonly field: string; readonly newSize: unknown }[] | null | undefined;
}

const own = (container: RawDocument, field: string): unknown =>
  Object.hasOwn(container, field) ? container[field] : undefined;

/** Array indexes beyond this are not followed: no list that we read is so long, and holes cost memory. */
const MAX_INDEX = 1 << 16;

function change(
  value: unknown,
  path: readonly string[],
  last: (value: unknown) => { readonly keep: unknown } | null,
): unknown {
  const [field, ...rest] = path;
  if (field === undefined) return value;
  const next = (inner: unknown): { readonly keep: unknown } | null =>
    rest.length === 0 ? last(inner) : { keep: change(inner, rest, last) };
  if (Array.isArray(value)) {
    const index = Number(field);
    if (!/^\d+$/.test(field) || index > MAX_INDEX) return value;
    const copy: unknown[] = [...value];
    // As MongoDB does, places skipped over are null.
    while (copy.length < index) copy.push(null);
    const changed = next(copy[index]);
    copy[index] = changed === null ? null : changed.keep;
    return copy;
  }
  const container = isDocument(value) ? value : {};
  const changed = next(own(container, field));
  if (changed !== null) return { ...container, [field]: changed.keep };
  const { [field]: _removed, ...others } = container;
  return others;
}

function exists(value: unknown, path: readonly string[]): boolean {
  let current = value;
  for (const field of path) {
    if (Array.isArray(current)) current = /^\d+$/.test(field) ? current[Number(field)] : undefined;
    else current = isDocument(current) ? own(current, field) : undefined;
    if (current === undefined) return false;
  }
  return true;
}

const asDocument = (value: unknown): RawDocument => (isDocument(value) ? value : {});

/**
 * The document after an update, as a new document; the given one is not touched. Paths are dotted, a number in them is
 * an index where it meets an array, else a field. What a removal or truncation does not find it leaves alone.
 */
export function applyUpdateDescription(document: RawDocument, update: UpdateDescription): RawDocument {
  let result = document;
  for (const field of update.removedFields ?? []) {
    const path = field.split('.');
    if (exists(result, path)) result = asDocument(change(result, path, () => null));
  }
  for (const { field, newSize } of update.truncatedArrays ?? []) {
    const path = field.split('.');
    const size = numberOf(newSize);
    if (size === null || !exists(result, path)) continue;
    result = asDocument(
      change(result, path, (value) => ({ keep: Array.isArray(value) ? value.slice(0, size) : value })),
    );
  }
  for (const [field, value] of Object.entries(update.updatedFields ?? {})) {
    result = asDocument(change(result, field.split('.'), () => ({ keep: value })));
  }
  return result;
}
