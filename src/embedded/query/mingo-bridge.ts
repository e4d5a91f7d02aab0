import { Decimal128, type Document, Double, Int32, Long } from 'bson';
import { aggregate } from 'mingo';
import { failedToParse } from '../errors.ts';
import { fromNumber, integerOf, numericValue, toNumber } from '../values/numbers.ts';
import { getField, isDocument, setField } from '../values/types.ts';

/** From a document as mingo sees it back to the one that it was made of. */
const ORIGIN: unique symbol = Symbol('origin');

interface Traced {
  [ORIGIN]?: { readonly document: Document; readonly plain: Document };
}

/** A value as mingo knows values: JS numbers instead of the BSON types; everything else as it is. */
function toPlain(value: unknown): unknown {
  if (value instanceof Int32 || value instanceof Double) return value.value;
  if (value instanceof Long) return numericValue(value) ?? value;
  if (value instanceof Decimal128) return toNumber(value);
  if (Array.isArray(value)) return value.map(toPlain);
  return isDocument(value) ? plainDocument(value) : value;
}

function plainDocument(document: Document): Document {
  const plain: Document = {};
  for (const key of Object.keys(document)) setField(plain, key, toPlain(document[key]));
  return plain;
}

/** Whole numbers come back as int, or long beyond 32 bits; others as double. */
function fromPlain(value: unknown): unknown {
  if (typeof value === 'bigint') return integerOf(value, 'long') ?? new Double(Number(value));
  if (typeof value === 'number') {
    return Number.isSafeInteger(value) && !Object.is(value, -0)
      ? (integerOf(value, 'int') ?? fromNumber(value))
      : new Double(value);
  }
  if (Array.isArray(value)) return value.map(fromPlain);
  if (!isDocument(value)) return value ?? null;
  const document: Document = {};
  for (const key of Object.keys(value)) setField(document, key, fromPlain(value[key]));
  return document;
}

/**
 * Runs one stage by mingo. Fields that it leaves alone keep their BSON types; what it computes gets int, long or
 * double by its value.
 *
 * @throws CommandError 9 FailedToParse with mingo's own words
 */
export function runByMingo(documents: Iterable<Document>, name: string, spec: Document): Document[] {
  refuseScripts(spec);
  const input = [...documents].map((document) => {
    const plain = plainDocument(document);
    const traced: Document & Traced = { ...plain, [ORIGIN]: { document, plain } };
    return traced;
  });
  let output: readonly (Document & Traced)[];
  try {
    // Its own window stage is built on `$function`, which is why scripts are on here and refused above.
    output = aggregate(input, [{ [name]: toPlain(spec) }], { scriptEnabled: true });
  } catch (cause) {
    // mingo reports bad operands by errors of many kinds, plain TypeErrors among them.
    throw failedToParse(`${name}: ${cause instanceof Error ? cause.message : String(cause)}`);
  }
  return output.map(restored);
}

const SCRIPTS: ReadonlySet<string> = new Set(['$function', '$accumulator', '$where']);

/**
 * Refuses operators that call functions, wherever they stand. mingo would take any function that a path reaches, such
 * as a prototype's constructor: a client could run its own code in this process.
 */
function refuseScripts(spec: unknown): void {
  if (Array.isArray(spec)) spec.forEach(refuseScripts);
  if (!isDocument(spec)) return;
  for (const [name, value] of Object.entries(spec)) {
    if (SCRIPTS.has(name)) throw failedToParse(`${name} is not allowed: this server runs no JavaScript of its clients`);
    refuseScripts(value);
  }
}

function restored(result: Document & Traced): Document {
  const origin = result[ORIGIN];
  const document: Document = {};
  for (const [key, value] of Object.entries(result) as [string, unknown][]) {
    const isUntouched = origin !== undefined && Object.hasOwn(origin.plain, key) && origin.plain[key] === value;
    setField(document, key, isUntouched ? getField(origin.document, key) : fromPlain(value));
  }
  return document;
}
