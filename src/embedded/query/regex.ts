import { regexParts } from '../values/compare.ts';
import { badValue, location } from './refuse.ts';

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

/**
 * A BSON regular expression as JavaScript's. PCRE's options i, m, s, x (free spacing) and leading inline options such
 * as `(?i)` are honoured, POSIX classes translated; what only PCRE has (recursion, possessive quantifiers) is refused.
 *
 * @throws CommandError 51091 for an invalid pattern, 2 BadValue for unknown options
 */
export function toRegExp(value: unknown, options?: string): RegExp {
  const parts = typeof value === 'string' ? { pattern: value, options: '' } : regexParts(value);
  let flags = options ?? parts.options;
  let pattern = parts.pattern;
  if (pattern.includes('\0')) throw badValue('Regular expression cannot contain an embedded null byte');
  const inline = /^\(\?([imsx]+)\)/.exec(pattern);
  if (inline !== null) {
    flags += inline[1] ?? '';
    pattern = pattern.slice(inline[0].length);
  }
  const unknown = /[^imsxu]/.exec(flags);
  if (unknown !== null) throw location(51108, ` invalid flag in regex options: ${unknown[0]}`);
  if (flags.includes('x')) pattern = withoutFreeSpacing(pattern);
  pattern = pattern
    .replace(/\[:(\w+):\]/g, (text, name: string) => POSIX_CLASSES[name] ?? text)
    .replace(/\\A/g, '(?<![\\s\\S])')
    .replace(/\\[zZ]/g, '(?![\\s\\S])')
    .replace(/\(\?P</g, '(?<');
  const jsFlags = [...'ims'].filter((flag) => flags.includes(flag)).join('');
  return compile(pattern, jsFlags);
}

/** Unicode mode reads characters as PCRE's UTF-8 mode does; but it rejects harmless escapes such as `\-`. */
function compile(pattern: string, flags: string): RegExp {
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
