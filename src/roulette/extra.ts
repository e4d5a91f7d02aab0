import { bsonTypeOf, isDecimal, isLong, isObjectId, MAX_TEXT, numberOf, type RawDocument } from './bson-value.ts';

/** What stands in JSON for a field of a writer's own. */
export type ExtraValue = string | number | boolean | null | readonly (string | number | boolean | null)[];

/** Characters of JSON that one such field may take; what takes more is left out. */
const MAX_JSON = 500;
/** Elements of a list. */
const MAX_LIST = 15;

/** The JSON of a single value; undefined where it has none, or is too long a text. */
function scalarOf(value: unknown): string | number | boolean | null | undefined {
  if (value === null || typeof value === 'boolean') return value;
  if (typeof value === 'string') return value.length > MAX_TEXT ? undefined : value;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? undefined : value.toISOString();
  if (isObjectId(value)) return value.toHexString();
  const number = numberOf(value);
  if (number === null || bsonTypeOf(value) === 'Timestamp') return undefined;
  // Digits that a number of JSON does not hold stay text.
  if ((isLong(value) || isDecimal(value)) && String(number) !== value.toString()) return value.toString();
  return Number.isFinite(number) ? number : undefined;
}

function jsonOf(value: unknown): ExtraValue | undefined {
  if (!Array.isArray(value)) return scalarOf(value);
  return value.length > MAX_LIST ? undefined : value.map((element) => scalarOf(element) ?? null);
}

/**
 * The fields of a writer's own as the wire carries them: text, numbers, booleans, null, and lists of them. A field that
 * is something else or too long is left out.
 */
export function extraItem(extra: RawDocument | undefined): Readonly<Record<string, ExtraValue>> {
  if (extra === undefined) return {};
  const item: Record<string, ExtraValue> = {};
  for (const [field, given] of Object.entries(extra)) {
    const value = jsonOf(given);
    if (value !== undefined && JSON.stringify(value).length <= MAX_JSON) item[field] = value;
  }
  return item;
}

/** The fields of a document that a setting names, in its order; undefined when it has none of them. */
export function extraOf(document: RawDocument, fields: readonly string[] | undefined): RawDocument | undefined {
  if (fields === undefined) return undefined;
  const own = fields.filter((field) => Object.hasOwn(document, field));
  return own.length === 0 ? undefined : Object.fromEntries(own.map((field) => [field, document[field]]));
}

/** Fields of a post that nothing here gives a meaning to: they are stored as they came. */
export function unknownFields(body: RawDocument, known: ReadonlySet<string>): RawDocument | undefined {
  const own = Object.entries(body).filter(([field]) => !known.has(field) && STORABLE.test(field));
  return own.length === 0 ? undefined : Object.fromEntries(own);
}

/** A name that MongoDB takes for a field everywhere. */
const STORABLE = /^(?!_id$|__proto__$)[^$.\0][^.\0]{0,99}$/;
