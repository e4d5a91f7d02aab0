interface Placed {
  readonly timestampMs: number;
  readonly key: string;
}

/** Orders the numbers of one table, newest first: by their own timestamp, then by the identity of their `_id`. */
export function newerFirst(a: Placed, b: Placed): number {
  if (a.timestampMs !== b.timestampMs) return b.timestampMs - a.timestampMs;
  if (a.key === b.key) return 0;
  return a.key < b.key ? 1 : -1;
}
