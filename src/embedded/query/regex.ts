import { RE2JS, RE2JSException } from 're2js';
import { badValue, location } from '../errors.ts';
import { regexParts } from '../values/compare.ts';
import { spend } from '../values/effort.ts';
import { utf8Length } from '../values/text.ts';
import { guardedExec, guardedRun } from './regex-guard.ts';

/** What an expression found, as `RegExp.exec` tells it. */
export interface PatternMatch {
  readonly index: number;
  readonly 0: string;
  /** undefined for a group that took no part. */
  readonly captures: readonly (string | undefined)[];
}

/** A regular expression whose matching is bounded: no pattern and no text can hold the process. */
export interface Pattern {
  test(text: string): boolean;
  matchAll(text: string): Iterable<PatternMatch>;
}

const POSIX_CLASSES: Readonly<Record<string, string>> = {
  alpha: 'A-Za-z',
  digit: '0-9',
  alnum: 'A-Za-z0-9',
  upper: 'A-Z',
  lower: 'a-z',
  space: '\\s',
  punct: '!-\\/:-@\\[-`{-~',
  xdigit: '0-9A-Fa-f',
  word: '\\w',
};

const STEPS_TO_COMPILE = 512;

// What the library makes with its first pattern costs more processor time than a client's pattern may take, and must
// not be interrupted: it is made here.
RE2JS.compile('^.[0-9]{2}x*$').test('');

/** The server's own limit of a pattern's bytes. */
const MAX_PATTERN_BYTES = 32_764;

/**
 * Compiles a BSON regular expression. PCRE's options i, m, s, x (free spacing) and leading inline options such as
 * `(?i)` are honoured, POSIX classes translated; what only PCRE has (recursion, possessive quantifiers) is refused.
 *
 * @throws CommandError 51091 for an invalid pattern, 51108 for unknown options, 2 BadValue for a null byte
 */
export function compilePattern(value: unknown, options?: string): Pattern {
  // Making one is dear, and a filter may hold a hundred thousand of them.
  spend(STEPS_TO_COMPILE);
  const parts = typeof value === 'string' ? { pattern: value, options: '' } : regexParts(value);
  let flags = options ?? parts.options;
  let { pattern } = parts;
  if (pattern.includes('\0')) throw badValue('Regular expression cannot contain an embedded null byte');
  if (utf8Length(pattern) > MAX_PATTERN_BYTES) throw location(51091, 'Regular expression is invalid: it is too long');
  const inline = /^\(\?([imsx]+)\)/.exec(pattern);
  if (inline !== null) {
    flags += inline[1] ?? '';
    pattern = pattern.slice(inline[0].length);
  }
  const unknown = /[^imsxu]/.exec(flags);
  if (unknown !== null) throw location(51108, ` invalid flag in regex options: ${unknown[0]}`);
  if (flags.includes('x')) pattern = withoutFreeSpacing(pattern);
  const jsFlags = [...'ims'].filter((flag) => flags.includes(flag)).join('');
  const native = (): RegExp => compileNative(forJavaScript(pattern), jsFlags);
  if (!isCheap(pattern)) return compileLinear(pattern, flags) ?? guarded(native());
  const expression = native();
  const bounded = lazily(() => compileLinear(pattern, flags) ?? guarded(expression));
  return {
    test: (text) => (text.length <= CHEAP_TEXT ? expression.test(text) : bounded().test(text)),
    matchAll: (text) => (text.length <= CHEAP_TEXT ? nativeMatches(expression, text) : bounded().matchAll(text)),
  };
}

/** Longest text in UTF-16 units that a cheap pattern is tried on by backtracking: some million steps at the worst. */
const CHEAP_TEXT = 2048;

/** No groups and at most one repetition: backtracking then takes at most the square of the text's length. */
function isCheap(pattern: string): boolean {
  const bare = pattern.replace(/\\[\s\S]/g, '.').replace(/\[[^\]]*\]/g, '.');
  return pattern.length <= 128 && !bare.includes('(') && (bare.match(/[*+?{]/g)?.length ?? 0) <= 1;
}

function lazily(make: () => Pattern): () => Pattern {
  let made: Pattern | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

/** By an automaton, in time linear in the text; undefined for what automata cannot do (look-around, back references). */
function compileLinear(pattern: string, flags: string): Pattern | undefined {
  let options = 0;
  if (flags.includes('i')) options |= RE2JS.CASE_INSENSITIVE;
  if (flags.includes('s')) options |= RE2JS.DOTALL;
  if (flags.includes('m')) options |= RE2JS.MULTILINE;
  let compiled: RE2JS;
  try {
    compiled = guardedRun(() => RE2JS.compile(pattern, options));
  } catch (error) {
    if (error instanceof RE2JSException) return undefined;
    throw error;
  }
  // An automaton is linear in the text, but many times slower than the engine of JavaScript.
  const bounded = <T>(text: string, run: () => T): T => (text.length <= CHEAP_TEXT ? run() : guardedRun(run));
  return {
    test: (text) => bounded(text, () => compiled.test(text)),
    *matchAll(text) {
      const matches = compiled.matchAll(text)[Symbol.iterator]();
      for (;;) {
        const next = bounded(text, () => matches.next());
        if (next.done === true) return;
        spend();
        yield { index: next.value.index ?? 0, 0: next.value[0], captures: captured(next.value) };
      }
    },
  };
}

function captured(found: RegExpMatchArray | RegExpExecArray): (string | undefined)[] {
  return found.slice(1).map((capture: string | null | undefined) => capture ?? undefined);
}

/** By backtracking, stopped when it takes too long. */
function guarded(native: RegExp): Pattern {
  const everywhere = new RegExp(native, `${native.flags}g`);
  return {
    test: (text) => guardedExec(native, text) !== null,
    *matchAll(text) {
      everywhere.lastIndex = 0;
      for (;;) {
        const at = everywhere.lastIndex;
        const found = guardedExec(everywhere, text);
        if (found === null) return;
        const next = everywhere.lastIndex;
        yield { index: found.index, 0: found[0], captures: captured(found) };
        everywhere.lastIndex = next === at && found[0] === '' ? next + 1 : next;
      }
    },
  };
}

function* nativeMatches(native: RegExp, text: string): Generator<PatternMatch, void> {
  for (const found of text.matchAll(new RegExp(native, `${native.flags}g`)))
    yield { index: found.index, 0: found[0], captures: captured(found) };
}

function forJavaScript(pattern: string): string {
  return pattern
    .replace(/\[:(\w+):\]/g, (text, name: string) => POSIX_CLASSES[name] ?? text)
    .replace(/\\A/g, '(?<![\\s\\S])')
    .replace(/\\[zZ]/g, '(?![\\s\\S])')
    .replace(/\(\?P</g, '(?<');
}

/** Unicode mode reads characters as PCRE's UTF-8 mode does; but it rejects harmless escapes such as `\-`. */
function compileNative(pattern: string, flags: string): RegExp {
  try {
    return new RegExp(pattern, `${flags}u`);
  } catch {
    try {
      return new RegExp(pattern, flags);
    } catch (cause) {
      throw location(51091, `Regular expression is invalid: ${cause instanceof Error ? cause.message : String(cause)}`);
    }
  }
}

function withoutFreeSpacing(pattern: string): string {
  return pattern.replace(/(\\[\s\S])|(\[(?:\\[\s\S]|[^\]\\])*\])|\s+|#[^\n]*/g, (_, escaped?: string, set?: string) => {
    return escaped ?? set ?? '';
  });
}
