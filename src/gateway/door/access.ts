/**
 * What one caller may see, and until when. Every transport and every route asks `maySee` of it, and nothing else.
 * INVARIANT access-is-per-data: what a caller may see does not depend on how it asks.
 */
export interface Grant {
  /** Who the token speaks for (`sub`), and which token it is (`jti`); null where it does not say. */
  readonly subject: string | null;
  readonly tokenId: string | null;
  /** Milliseconds since 1970; null never ends. */
  readonly expiresMs: number | null;
  /** Canonical table ids; null is all tables, also those that appear later. */
  readonly allowed: ReadonlySet<string> | null;
}

/** Everybody, for ever, everything. */
export const OPEN_GRANT: Grant = Object.freeze({ subject: null, tokenId: null, expiresMs: null, allowed: null });

/** Whether a caller may see a table, whatever of it: its existence, its name, its numbers, its strategy. */
export const maySee = ({ allowed }: Pick<Grant, 'allowed'>, table: string): boolean =>
  allowed === null || allowed.has(table);

/** Of some tables, those that a caller may see. */
export const visibleOf = <T extends string>(grant: Pick<Grant, 'allowed'>, tables: readonly T[]): readonly T[] =>
  grant.allowed === null ? tables : tables.filter((table) => maySee(grant, table));

/** How long ago a grant ended, milliseconds; below 0 before that, and where it never ends or there is none. */
export const expiredMs = (grant: Grant | null, nowMs: number): number =>
  grant === null || grant.expiresMs === null ? Number.NEGATIVE_INFINITY : nowMs - grant.expiresMs;
