import { type Problem, ProtocolError } from '../../protocol/errors.ts';

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
