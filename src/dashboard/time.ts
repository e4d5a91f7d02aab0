/** A span in few characters: `42 s` (up to two minutes), `7 min`, `3 h`, `2 d`. `ms` below zero, from clocks that differ, is 0 s. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** A short span with a sensible unit: `8 ms`, `1,2 s`. */
export function shortSpan(ms: number, language: string): string {
  if (Math.abs(ms) < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toLocaleString(language, { maximumFractionDigits: 1 })} s`;
}

/** How fresh a table is, by the age of its last number: tables spin about every 40 s. */
export type Freshness = 'fresh' | 'slow' | 'silent';

export function freshnessOf(ageMs: number): Freshness {
  if (ageMs < 90_000) return 'fresh';
  return ageMs < 300_000 ? 'slow' : 'silent';
}

/** A number with at most one digit behind the comma, as the language writes it. */
export const tenths = (value: number, language: string): string =>
  value.toLocaleString(language, { maximumFractionDigits: 1 });
