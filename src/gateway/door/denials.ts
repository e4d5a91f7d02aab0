import type { Grant } from './access.ts';

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
