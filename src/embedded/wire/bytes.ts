import { badValue, location } from '../errors.ts';
import { hasEscapes, utf8Bytes, utf8Length } from '../values/text.ts';

const INITIAL_BYTES = 16 * 1024;
/** What one large reply needed is not kept for all small ones. */
const KEPT_BYTES = 256 * 1024;
/** As the server's own buffer: nothing that is answered or stored comes near it. */
const MAX_BYTES = 64 * 1024 * 1024;
/** A UTF-16 unit takes at most this many bytes of UTF-8. */
const UTF8_BYTES = 3;
/** Texts below this many units are given the most that they can need, instead of being measured. */
const SHORT = 1_000;

function checkBuffer(size: number): void {
  if (size > MAX_BYTES) throw location(13548, `BufBuilder attempted to grow() to ${size} bytes, past the 64MB limit.`);
}

/** Memory that is written from its beginning, again and again: the pieces that BSON is made of. */
export type Bytes = ReturnType<typeof createBytes>;

/** @throws CommandError 2 for names with a null byte; what `checkSize` throws */
export function createBytes(checkSize: (size: number) => void = checkBuffer) {
  let bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
  let at = 0;

  const reserve = (more: number): void => {
    if (at + more <= bytes.length) return;
    checkSize(at + more);
    let size = bytes.length;
    while (size < at + more) size *= 2;
    const larger = Buffer.allocUnsafeSlow(size);
    bytes.copy(larger, 0, 0, at);
    bytes = larger;
  };
  /** The bytes of a text that there is room for. */
  const text = (value: string): void => {
    if (hasEscapes(value)) at += utf8Bytes(value).copy(bytes, at);
    else at += bytes.write(value, at);
  };
  const byte = (value: number): void => {
    reserve(1);
    bytes[at] = value;
    at += 1;
  };
  const patchInt32 = (value: number, place: number): void => {
    bytes.writeInt32LE(value, place);
  };
  return {
    length: (): number => at,
    view: (): Buffer => bytes.subarray(0, at),
    clear(): void {
      at = 0;
      if (bytes.length > KEPT_BYTES) bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES);
    },
    reserve,
    byte,
    patchInt32,
    int32(value: number): void {
      reserve(4);
      at = bytes.writeInt32LE(value | 0, at);
    },
    int64(value: bigint): void {
      reserve(8);
      at = bytes.writeBigInt64LE(BigInt.asIntN(64, value), at);
    },
    double(value: number): void {
      reserve(8);
      at = bytes.writeDoubleLE(value, at);
    },
    copy(part: Uint8Array): void {
      reserve(part.length);
      bytes.set(part, at);
      at += part.length;
    },
    /** A type byte and a name. */
    head(type: number, name: string): void {
      reserve(name.length * UTF8_BYTES + 2);
      bytes[at] = type;
      at += 1;
      // Names are short and plain: a loop costs less than the call that encodes any text.
      for (let index = 0; index < name.length; index += 1) {
        const code = name.charCodeAt(index);
        if (code === 0) throw badValue('a field name with a null byte cannot be stored');
        if (code >= 0x80) {
          text(name.slice(index));
          break;
        }
        bytes[at] = code;
        at += 1;
      }
      bytes[at] = 0;
      at += 1;
    },
    /** A text behind its length. */
    sized(value: string): void {
      reserve((value.length < SHORT ? value.length * UTF8_BYTES : utf8Length(value)) + 5);
      const place = at;
      at += 4;
      text(value);
      bytes[at] = 0;
      at += 1;
      patchInt32(at - place - 4, place);
    },
    cstring(value: string): void {
      if (value.includes('\0')) throw badValue('a null byte in a regular expression cannot be stored');
      reserve(value.length * UTF8_BYTES + 1);
      text(value);
      byte(0);
    },
    /** Begins a document. @returns its place, for `finish` */
    start(): number {
      reserve(4);
      at += 4;
      return at - 4;
    },
    finish(place: number): void {
      byte(0);
      patchInt32(at - place, place);
    },
  };
}
