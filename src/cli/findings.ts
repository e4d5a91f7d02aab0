/** One line of the doctor: what was looked at, how it is, and what to do about it. */
export interface Finding {
  readonly about: string;
  /** `note`: works, but should be known. `unknown`: could not be looked at. */
  readonly verdict: 'ok' | 'note' | 'bad' | 'unknown';
  readonly found: string;
  readonly remedy?: string;
}

export const ok = (about: string, found: string): Finding => ({ about, verdict: 'ok', found });
export const note = (about: string, found: string, remedy: string): Finding => ({
  about,
  verdict: 'note',
  found,
  remedy,
});
export const bad = (about: string, found: string, remedy: string): Finding => ({
  about,
  verdict: 'bad',
  found,
  remedy,
});
export const unknown = (about: string, error: unknown): Finding => ({
  about,
  verdict: 'unknown',
  found: error instanceof Error ? error.message : String(error),
});

const SIGNS = { ok: 'ok  ', note: 'note', bad: 'BAD ', unknown: '?   ' } as const;

/** A finding as one line; the remedy follows after an arrow. */
export const findingLine = ({ about, verdict, found, remedy }: Finding): string =>
  `${SIGNS[verdict]}  ${about}: ${found}${remedy === undefined ? '' : `  ->  ${remedy}`}`;
