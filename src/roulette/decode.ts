import { BSONType, deserialize, onDemand } from 'bson';
import type { RawDocument } from './bson-value.ts';

/** Patterns stay text, since not all that MongoDB takes is one to JavaScript; bytes that are not UTF-8 become U+FFFD. */
const TOLERANT = { bsonRegExp: true, validation: { utf8: false } } as const;

/** Stands for a value that cannot be decoded: of no type that any field takes. */
const UNDECODABLE: RawDocument = Object.freeze({});

const text = new TextDecoder('utf-8');

/** A document with the bytes of one element. */
function withElement(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const single = new Uint8Array(4 + (to - from) + 1);
  new DataView(single.buffer).setInt32(0, single.length, true);
  single.set(bytes.subarray(from, to), 4);
  return single;
}

function byField(bytes: Uint8Array): RawDocument {
  const fields: [string, unknown][] = [];
  for (const [type, nameAt, nameLength, at, length] of onDemand.parseToElements(bytes)) {
    const name = text.decode(bytes.subarray(nameAt, nameAt + nameLength));
    if (type === BSONType.object) {
      fields.push([name, decodeDocument(bytes.subarray(at, at + length)) ?? UNDECODABLE]);
      continue;
    }
    const element = decodeWhole(withElement(bytes, nameAt - 1, at + length));
    fields.push([name, element === null ? UNDECODABLE : Object.values(element)[0]]);
  }
  return Object.fromEntries(fields);
}

function decodeWhole(bytes: Uint8Array): RawDocument | null {
  try {
    return deserialize(bytes, TOLERANT);
  } catch {
    // The caller looks at smaller parts, or says that the document is skipped.
    return null;
  }
}

/**
 * Decodes a document as tolerantly as can be: a field that the library refuses becomes an empty document, which no
 * reader takes for a value. Null where the bytes are no BSON at all.
 */
export function decodeDocument(bytes: Uint8Array): RawDocument | null {
  const whole = decodeWhole(bytes);
  if (whole !== null) return whole;
  try {
    return byField(bytes);
  } catch {
    // Lengths and types that do not fit together: nothing of it can be trusted.
    return null;
  }
}
