import type { Document } from 'bson';
import { badValue, failedToParse, typeMismatch } from '../errors.ts';
import { compareStrings, type StringOrder, valueKey, valueKeyBy } from './compare.ts';
import { toInteger } from './numbers.ts';
import { isDocument, typeName } from './types.ts';

const SENSITIVITY = { 1: 'base', 2: 'accent', 3: 'variant', 4: 'variant', 5: 'variant' } as const;
type Strength = keyof typeof SENSITIVITY;

/**
 * The string order of a command's `collation`, by the ICU of Node; undefined means plain binary order. `locale`,
 * `strength`, `caseLevel`, `caseFirst` and `numericOrdering` take effect; `alternate: "shifted"` ignores punctuation;
 * `backwards` and `maxVariable` do not exist in Node's ICU and are refused.
 *
 * @throws CommandError 2 BadValue, 9 FailedToParse, 14 TypeMismatch
 */
export function collationOrder(spec: unknown): StringOrder | undefined {
  if (spec === undefined) return undefined;
  if (!isDocument(spec)) {
    throw typeMismatch(`Expected field collation to be of type object, but is ${typeName(spec)}`);
  }
  const collation: Document = spec;
  const locale: unknown = collation['locale'];
  if (typeof locale !== 'string') throw failedToParse('Missing expected field "locale"');
  if (locale === 'simple') return undefined;
  for (const option of ['backwards', 'maxVariable']) {
    if (collation[option] !== undefined && collation[option] !== false) {
      throw badValue(`This server has no collation option "${option}"`);
    }
  }
  const order = collator(locale, collation);
  return strengthOf(collation) >= 4 ? (a, b) => order.compare(a, b) || compareStrings(a, b) : order.compare;
}

function collator(locale: string, collation: Document): Intl.Collator {
  const strength = strengthOf(collation);
  const caseFirst: unknown = collation['caseFirst'];
  try {
    return new Intl.Collator(locale.replaceAll('_', '-'), {
      sensitivity: strength === 1 && collation['caseLevel'] === true ? 'case' : SENSITIVITY[strength],
      numeric: collation['numericOrdering'] === true,
      ignorePunctuation: collation['alternate'] === 'shifted',
      ...(caseFirst === 'upper' || caseFirst === 'lower' ? { caseFirst } : {}),
    });
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw badValue(`Field 'locale' is invalid in: { locale: "${locale}" }`);
  }
}

function strengthOf(collation: Document): Strength {
  const strength = collation['strength'] === undefined ? 3 : toInteger(collation['strength']);
  if (strength === 1 || strength === 2 || strength === 3 || strength === 4 || strength === 5) return strength;
  throw failedToParse('Enumeration value for field strength must be between 1 and 5');
}

/**
 * Keys of values as `valueKey` gives them, but equal where `strings` holds values equal. Only keys of the same function
 * compare: Intl.Collator has no sort keys, so the first string met stands for all that are equal to it.
 */
export function collatedKeys(strings: StringOrder | undefined): (value: unknown) => string {
  if (strings === undefined) return valueKey;
  const standIns = new Map<string, string>();
  const sorted: string[] = [];
  const standIn = (text: string): string => {
    const known = standIns.get(text);
    if (known !== undefined) return known;
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (strings(sorted[middle] ?? '', text) < 0) low = middle + 1;
      else high = middle;
    }
    const next = sorted[low];
    const found = next !== undefined && strings(next, text) === 0 ? next : text;
    if (found === text) sorted.splice(low, 0, text);
    standIns.set(text, found);
    return found;
  };
  return (value) => valueKeyBy(value, standIn);
}
