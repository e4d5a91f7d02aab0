import { BSONRegExp, BSONSymbol, type Document, Int32, Long, Timestamp } from 'bson';
import { location } from '../errors.ts';
import { compareStrings } from '../values/compare.ts';
import { checkTextLength, spend, spendText } from '../values/effort.ts';
import { numericKind, toInteger } from '../values/numbers.ts';
import { textOf, utf8Bytes, utf8Length } from '../values/text.ts';
import { typeName } from '../values/types.ts';
import type { OperatorCompiler } from './expression.ts';
import { binary, isNullish, named, unary, variadic } from './expression-arguments.ts';
import { compilePattern, type PatternMatch } from './regex.ts';

/** Text of a value as string operators coerce it: dates and numbers are written out, null is empty. */
function coerceToText(value: unknown, name: string): string {
  if (isNullish(value)) return '';
  if (typeof value === 'string') return value;
  if (value instanceof BSONSymbol) return value.value;
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Timestamp) return new Long(value.low, value.high).toString();
  if (numericKind(value) !== undefined) return String(value);
  throw location(16007, `can't convert from BSON type ${typeName(value)} to String (${name})`);
}

function requireText(value: unknown, code: number, message: string): string {
  if (typeof value === 'string') return value;
  if (value instanceof BSONSymbol) return value.value;
  throw location(code, `${message}, found: ${typeName(value)}`);
}

function requireIndex(value: unknown, code: number, message: string): number {
  const number = toInteger(value);
  if (number === undefined) throw location(code, message);
  return number;
}

function concat(values: readonly unknown[]): unknown {
  if (values.some(isNullish)) return null;
  const texts = values.map((value) => requireText(value, 16702, '$concat only supports strings'));
  checkTextLength(texts.reduce((sum, text) => sum + text.length, 0));
  return spendText(texts.join(''));
}

function substringBytes([text, start, length]: readonly unknown[], name: string): string {
  const bytes = utf8Bytes(coerceToText(text, name));
  const from = requireIndex(start, 16034, `${name}: starting index must be a numeric type`);
  const count = requireIndex(length, 16035, `${name}: length must be a numeric type`);
  if (from < 0) throw location(50752, `${name}: starting index must be non-negative (got: ${from})`);
  const to = count < 0 ? bytes.length : Math.min(bytes.length, from + count);
  const isContinuation = (at: number): boolean => at < bytes.length && ((bytes[at] ?? 0) & 0xc0) === 0x80;
  if (isContinuation(from))
    throw location(28656, `${name}:  Invalid range, starting index is a UTF-8 continuation byte.`);
  if (isContinuation(to))
    throw location(28657, `${name}:  Invalid range, ending index is in the middle of a UTF-8 character.`);
  return textOf(bytes, from, to);
}

function substringPoints([text, start, length]: readonly unknown[], name: string): string {
  const whole = coerceToText(text, name);
  const from = requireIndex(start, 34450, `${name}: starting index must be a numeric type`);
  const count = requireIndex(length, 34452, `${name}: length must be a numeric type`);
  if (from < 0) throw location(34455, `${name}: the starting index must be nonnegative integer.`);
  if (count < 0) throw location(34454, `${name}: length must be a nonnegative integer.`);
  const begin = unitOfPoint(whole, from, 0);
  return whole.slice(begin, unitOfPoint(whole, count, begin));
}

/** Where the text's code point of that number, counted from a unit on, begins. */
function unitOfPoint(text: string, number: number, from: number): number {
  let at = from;
  for (let left = number; left > 0 && at < text.length; left -= 1) {
    const isHigh = text.charCodeAt(at) >= 0xd800 && text.charCodeAt(at) <= 0xdbff;
    const next = text.charCodeAt(at + 1);
    at += isHigh && next >= 0xdc00 && next <= 0xdfff ? 2 : 1;
  }
  spend((at - from) / UNITS_PER_STEP);
  return at;
}

/** Units that a loop goes over in the time of one step. */
const UNITS_PER_STEP = 8;

function countPoints(text: string, end = text.length): number {
  let count = 0;
  for (let at = 0; at < end; count += 1) {
    const isHigh = text.charCodeAt(at) >= 0xd800 && text.charCodeAt(at) <= 0xdbff;
    const next = text.charCodeAt(at + 1);
    at += isHigh && next >= 0xdc00 && next <= 0xdfff ? 2 : 1;
  }
  spend(end / UNITS_PER_STEP);
  return count;
}

/** A text as what its indexes count: its bytes or its code points. */
interface Indexed {
  readonly length: number;
  /** The index of the first place of `part` from index `from` to `to`; -1 when there is none. */
  find(part: string, from: number, to: number): number;
}

function byBytes(text: string): Indexed {
  const bytes = utf8Bytes(text);
  return {
    length: bytes.length,
    find(part, from, to) {
      const wanted = utf8Bytes(part);
      const at = bytes.indexOf(wanted, from);
      return at >= 0 && at + wanted.length <= to ? at : -1;
    },
  };
}

function byPoints(text: string): Indexed {
  return {
    length: countPoints(text),
    find(part, from, to) {
      const at = text.indexOf(part, unitOfPoint(text, from, 0));
      if (at < 0) return -1;
      const index = countPoints(text, at);
      return index + countPoints(part) <= to ? index : -1;
    },
  };
}

function indexWithin(indexed: (text: string) => Indexed, code: number): OperatorCompiler {
  return variadic(
    ([text, wanted, start, end], name) => {
      if (isNullish(text)) return null;
      const whole = indexed(requireText(text, code, `${name} requires a string as the first argument`));
      const part = requireText(wanted, code + 1, `${name} requires a string as the second argument`);
      const from = start === undefined ? 0 : requireIndex(start, 40096, `${name} requires an integral starting index`);
      const to =
        end === undefined
          ? whole.length
          : Math.min(whole.length, requireIndex(end, 40096, `${name} requires an integral ending index`));
      if (from < 0 || to < 0) throw location(40097, `${name} requires a nonnegative index`);
      return new Int32(from > to ? -1 : whole.find(part, from, to));
    },
    2,
    4,
  );
}

const SPACES = '\0 \t\n\v\f\r\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a';

function trimming(left: boolean, right: boolean): OperatorCompiler {
  return named(50696, ['input'], ['chars'], ({ input, chars = SPACES }, name) => {
    if (isNullish(input) || isNullish(chars)) return null;
    const text = requireText(input, 50699, `${name} requires its input to be a string`);
    const trimmed = new Set(requireText(chars, 50700, `${name} requires 'chars' to be a string`));
    let from = 0;
    let to = text.length;
    for (let next = left; next && from < to; ) {
      const point = String.fromCodePoint(text.codePointAt(from) ?? 0);
      next = trimmed.has(point);
      if (next) from += point.length;
      spend();
    }
    for (let next = right; next && to > from; ) {
      const pair = text.slice(Math.max(from, to - 2), to);
      const point = [...pair].at(-1) ?? '';
      next = trimmed.has(point);
      if (next) to -= point.length;
      spend();
    }
    return text.slice(from, to);
  });
}

function replacing(replace: (input: string, find: string, replacement: string) => string): OperatorCompiler {
  return named(51751, ['input', 'find', 'replacement'], [], ({ input, find, replacement }, name) => {
    if (isNullish(input) || isNullish(find) || isNullish(replacement)) return null;
    return replace(
      requireText(input, 51746, `${name} requires that 'input' be a string`),
      requireText(find, 51745, `${name} requires that 'find' be a string`),
      requireText(replacement, 51744, `${name} requires that 'replacement' be a string`),
    );
  });
}

function regexOperator(
  answer: (found: Iterable<PatternMatch>, text: string) => unknown,
  absent: unknown,
): OperatorCompiler {
  return named(51103, ['input', 'regex'], ['options'], ({ input, regex, options }, name) => {
    if (isNullish(input) || isNullish(regex)) return absent;
    const text = requireText(input, 51104, `${name} needs 'input' to be of type string`);
    if (typeof regex !== 'string' && !(regex instanceof BSONRegExp))
      throw location(51105, `${name} needs 'regex' to be of type string or regex`);
    const flags = isNullish(options)
      ? undefined
      : requireText(options, 51106, `${name} needs 'options' to be of type string`);
    return answer(compilePattern(regex, flags).matchAll(text), text);
  });
}

function asMatch(found: PatternMatch, text: string): Document {
  const idx = countPoints(text, found.index);
  return { match: found[0], idx: new Int32(idx), captures: found.captures.map((capture) => capture ?? null) };
}

/** ASCII only, as the server's. */
const upper = (text: string): string => runs(text, /[a-z]+/g, (run) => run.toUpperCase());
const lower = (text: string): string => runs(text, /[A-Z]+/g, (run) => run.toLowerCase());

function runs(text: string, letters: RegExp, change: (run: string) => string): string {
  const changed = text.replace(letters, (run) => {
    spend();
    return change(run);
  });
  return spendText(changed);
}

function splitBy(text: string, by: string): string[] {
  const parts: string[] = [];
  let from = 0;
  for (let at = text.indexOf(by); at >= 0; at = text.indexOf(by, from)) {
    spend();
    parts.push(text.slice(from, at));
    from = at + by.length;
  }
  parts.push(text.slice(from));
  spendText(text);
  return parts;
}

function replaceAll(input: string, find: string, replacement: string): string {
  if (find === '') return input;
  const parts = splitBy(input, find);
  checkTextLength(input.length + (parts.length - 1) * (replacement.length - find.length));
  return spendText(parts.join(replacement));
}

export const STRING_OPERATORS: Readonly<Record<string, OperatorCompiler>> = {
  $concat: variadic(concat),
  $substr: variadic(substringBytes, 3, 3),
  $substrBytes: variadic(substringBytes, 3, 3),
  $substrCP: variadic(substringPoints, 3, 3),
  $toUpper: unary((value, name) => upper(coerceToText(value, name))),
  $toLower: unary((value, name) => lower(coerceToText(value, name))),
  $strcasecmp: binary((a, b, name) => {
    return new Int32(Math.sign(compareStrings(upper(coerceToText(a, name)), upper(coerceToText(b, name)))));
  }),
  $strLenBytes: unary(
    (value) => new Int32(utf8Length(requireText(value, 34473, '$strLenBytes requires a string argument'))),
  ),
  $strLenCP: unary(
    (value) => new Int32(countPoints(requireText(value, 34471, '$strLenCP requires a string argument'))),
  ),
  $indexOfBytes: indexWithin(byBytes, 40091),
  $indexOfCP: indexWithin(byPoints, 40093),
  $split: binary((text, separator) => {
    if (isNullish(text) || isNullish(separator)) return null;
    const whole = requireText(
      text,
      40085,
      '$split requires an expression that evaluates to a string as a first argument',
    );
    const by = requireText(
      separator,
      40086,
      '$split requires an expression that evaluates to a string as a second argument',
    );
    if (by === '') throw location(40087, '$split requires a non-empty separator');
    return splitBy(whole, by);
  }),
  $trim: trimming(true, true),
  $ltrim: trimming(true, false),
  $rtrim: trimming(false, true),
  $replaceOne: replacing((input, find, replacement) => input.replace(find, () => replacement)),
  $replaceAll: replacing(replaceAll),
  $regexMatch: regexOperator((found) => {
    const [first] = found;
    return first !== undefined;
  }, false),
  $regexFind: regexOperator((found, text) => {
    const [first] = found;
    return first === undefined ? null : asMatch(first, text);
  }, null),
  $regexFindAll: regexOperator((found, text) => {
    const matches: Document[] = [];
    for (const one of found) {
      spend();
      matches.push(asMatch(one, text));
    }
    return matches;
  }, []),
};
