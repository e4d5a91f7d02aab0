import { type Problem, ProtocolError } from '../../protocol/errors.ts';
import { parseTimestamp } from '../../roulette/bson-value.ts';

/** An integer of a query string: digits only, between `min` and `max`, or a problem under its name. */
export function integerParameter(
  query: URLSearchParams,
  name: string,
  bounds: { readonly min: number; readonly max: number; readonly fallback: number },
): number | Problem {
  const text = query.get(name);
  if (text === null || text === '') return bounds.fallback;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= bounds.min && value <= bounds.max) return value;
  return { path: name, message: `must be an integer from ${bounds.min} to ${bounds.max}` };
}

/** The value, or ProtocolError `invalid`. */
export function need(value: number | Problem): number {
  if (typeof value === 'number') return value;
  throw new ProtocolError('invalid', { problems: [value] });
}

/**
 * An instant of a query string, epoch milliseconds: ISO-8601, in UTC where it has no zone, or a day, or seconds or milliseconds since 1970.
 * Null when it is absent. Throws ProtocolError `invalid`.
 */
export function instantParameter(query: URLSearchParams, name: string): number | null {
  // An unescaped plus of a zone comes as a space.
  const text = (query.get(name) ?? '').replace(/ (?=\d\d:?\d\d$)/, '+');
  if (text === '') return null;
  const time = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text;
  const ms = parseTimestamp(/^\d{9,14}$/.test(text) ? Number(text) : time);
  if (ms !== null) return ms;
  const message = 'must be ISO-8601 or seconds or milliseconds since 1970';
  throw new ProtocolError('invalid', { problems: [{ path: name, message }] });
}
