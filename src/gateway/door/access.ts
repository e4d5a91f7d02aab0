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

/** A token, or everybody's tokens of one subject, that is not to be accepted any more. */
export interface Denial {
  readonly kind: 'sub' | 'jti';
  readonly value: string;
  /** Why, in the operator's words; null where none were given. */
  readonly reason: string | null;
  /** Milliseconds since 1970 at which it was said. */
  readonly sinceMs: number;
  /** Milliseconds since 1970 from which it does not count any more; null is never. */
  readonly untilMs: number | null;
}

/** What is denied now. */
export interface DenyList {
  has(grant: Grant | null): boolean;
  all(): readonly Denial[];
  /** Takes the list as it is in the database. */
  replace(denials: readonly Denial[]): void;
}

const keyOf = (kind: Denial['kind'], value: string): string => `${kind}:${value}`;

export function createDenyList(clock: () => number = Date.now): DenyList {
  let byKey = new Map<string, Denial>();
  const denies = (kind: Denial['kind'], value: string | null): boolean => {
    const denial = value === null ? undefined : byKey.get(keyOf(kind, value));
    return denial !== undefined && (denial.untilMs === null || clock() < denial.untilMs);
  };
  return {
    has: (grant) => grant !== null && (denies('sub', grant.subject) || denies('jti', grant.tokenId)),
    all: () => [...byKey.values()],
    replace(denials) {
      byKey = new Map(denials.map((denial) => [keyOf(denial.kind, denial.value), denial]));
    },
  };
}
