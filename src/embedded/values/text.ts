import { isUtf8 } from 'node:buffer';

/**
 * BSON strings as JavaScript strings, bytes that are not UTF-8 among them: a server stores what it is sent, and drivers
 * of other languages send what they were given. Such a byte becomes the lone surrogate U+DC00 + byte, as in Python's
 * "surrogateescape" (https://peps.python.org/pep-0383/), which no valid UTF-8 decodes to, and becomes that byte again.
 */
const ESCAPED = 0xdc00;

/** Surrogates without their other half: in Unicode mode a pair is one character and no match. */
const LONE = /[\ud800-\udfff]/u;
const LONE_RUNS = /([\ud800-\udfff]+)/u;

/** Names and most values are short and plain: looking at their bytes costs less than asking whether they are UTF-8. */
const SHORT = 24;

/** The text of the bytes from `start` to `end`. */
export function textOf(bytes: Buffer, start: number, end: number): string {
  if (end - start <= SHORT) {
    let at = start;
    while (at < end && (bytes[at] ?? 0) < 0x80) at += 1;
    if (at === end) return plainText(bytes, start, end);
  }
  const text = bytes.toString('utf8', start, end);
  // The decoder puts U+FFFD for what it cannot read, which may also stand there by right.
  if (!text.includes('\ufffd') || isUtf8(bytes.subarray(start, end))) return text;
  return escapedText(bytes.subarray(start, end));
}

/** The same as `toString('latin1')`, without the way out of JavaScript. */
function plainText(bytes: Buffer, start: number, end: number): string {
  const units: number[] = [];
  for (let at = start; at < end; at += 1) units.push(bytes[at] ?? 0);
  return String.fromCharCode.apply(String, units);
}

function escapedText(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at] ?? 0;
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    const character = bytes.subarray(at, at + length);
    const isWhole = character.length === length && isUtf8(character);
    text += isWhole ? character.toString('utf8') : String.fromCharCode(ESCAPED + lead);
    at += isWhole ? length : 1;
  }
  return text;
}

/** Whether `utf8Bytes` gives other bytes than `Buffer.from`. */
export function hasEscapes(text: string): boolean {
  return LONE.test(text);
}

/** The bytes of a text that `textOf` gave, or of any other. */
export function utf8Bytes(text: string): Buffer {
  if (!hasEscapes(text)) return Buffer.from(text);
  const parts = text.split(LONE_RUNS).map((part, index) => (index % 2 === 0 ? Buffer.from(part) : escapedBytes(part)));
  return Buffer.concat(parts);
}

function escapedBytes(run: string): Buffer {
  return Buffer.concat(
    Array.from(run, (unit) => {
      const byte = unit.charCodeAt(0) - ESCAPED;
      return byte >= 0x80 && byte <= 0xff ? Buffer.of(byte) : Buffer.from('\ufffd');
    }),
  );
}

/** Bytes of a text as `utf8Bytes` gives them. */
export function utf8Length(text: string): number {
  return hasEscapes(text) ? utf8Bytes(text).length : Buffer.byteLength(text);
}

/** For error messages, which drivers decode strictly. */
export function readable(text: string): string {
  return hasEscapes(text) ? text.replace(/[\ud800-\udfff]/gu, '\ufffd') : text;
}
