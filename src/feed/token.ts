import type { ClusterTime } from '../protocol/position.ts';

/** What a resume token says about where it stands. */
export interface TokenPlace {
  readonly time: ClusterTime;
  /** An event's own token, or a high-water mark: everything up to `time` was looked at. */
  readonly kind: 'event' | 'mark';
  /** Index of the operation within its clusterTime; 0 for a high-water mark. */
  readonly index: number;
}

/** KeyString integer codes: the type byte of a non-negative integer and how many bytes follow (value * 2). */
const INTEGER_BYTES: Readonly<Record<string, number>> = { '29': 0, '2B': 1, '2C': 2, '2D': 3, '2E': 4 };

const HEAD = /^82[0-9A-Fa-f]{16}/;
/** Version 1, an event, the only operation of its time: what follows the time in nearly every token of a 4.4. */
const ONLY_EVENT = '2B022C010029';

const HIGH_WATER_MARK = 0;
const EVENT = 128;

/**
 * Reads the `_data` of a change-stream resume token: KeyString of timestamp, token version, token type (from version 1
 * on) and operation index. The rest (UUID, document key) is not needed. Null for anything unexpected: the caller
 * counts within one clusterTime then, and never guesses.
 */
export function decodeToken(data: unknown): TokenPlace | null {
  if (typeof data !== 'string' || !HEAD.test(data)) return null;
  const time = { t: Number.parseInt(data.slice(2, 10), 16), i: Number.parseInt(data.slice(10, 18), 16) };
  if (data.startsWith(ONLY_EVENT, 18)) return { time, kind: 'event', index: 0 };
  let at = 18;
  const integer = (): number | null => {
    const width = INTEGER_BYTES[data.slice(at, at + 2).toUpperCase()];
    if (width === undefined) return null;
    const digits = data.slice(at + 2, at + 2 + width * 2);
    if (digits.length !== width * 2) return null;
    at += 2 + width * 2;
    return width === 0 ? 0 : Number.parseInt(digits, 16) / 2;
  };
  const version = integer();
  if (version === null) return null;
  const type = version >= 1 ? integer() : EVENT;
  if (type !== HIGH_WATER_MARK && type !== EVENT) return null;
  const index = integer();
  if (index === null || !Number.isInteger(index) || index > 0xfffffe) return null;
  return { time, kind: type === EVENT ? 'event' : 'mark', index: type === EVENT ? index : 0 };
}
