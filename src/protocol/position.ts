/**
 * A point in the database's own order: clusterTime seconds (8 hex digits), clusterTime increment (8), index of the
 * operation inside that clusterTime (6). Lower-case, 22 characters; string order is event order, on every instance.
 */
export type Position = string & { readonly __position: true };

/** A BSON timestamp as two numbers: seconds since 1970 and the increment within that second. */
export interface ClusterTime {
  readonly t: number;
  readonly i: number;
}

/** The highest operation index: a position that ends in it means "all of this clusterTime". */
const LAST_OPERATION = 0xffffff;

export const POSITION_PATTERN = /^[0-9a-f]{22}$/;

/** Whether a value has the shape of a position. Constant time for any input length. */
export function isPosition(value: unknown): value is Position {
  return typeof value === 'string' && value.length === 22 && POSITION_PATTERN.test(value);
}

const isWhole = (value: number): boolean => value >= 0 && Number.isInteger(value);
const hasLength = (text: string): text is Position => text.length === 22;

const hex = (value: number, width: number): string => value.toString(16).padStart(width, '0');

/** The position of operation `index` of `time`; throws RangeError for numbers that do not fit. */
export function positionOf(time: ClusterTime, index: number): Position {
  const text = hex(time.t, 8) + hex(time.i, 8) + hex(index, 6);
  // What is whole and not negative is written in hex digits: then the length tells the rest.
  if (!isWhole(time.t) || !isWhole(time.i) || !isWhole(index) || !hasLength(text)) {
    throw new RangeError(`no position for ${time.t}/${time.i}/${index}`);
  }
  return text;
}

/** The last position of a clusterTime: everything of it is at or below. */
export const endOf = (time: ClusterTime): Position => positionOf(time, LAST_OPERATION);

/** The first position of a clusterTime. */
export const startOf = (time: ClusterTime): Position => positionOf(time, 0);

/** Below every event. */
export const ORIGIN: Position = positionOf({ t: 0, i: 0 }, 0);

/** The clusterTime of a position. */
export function timeOf(position: Position): ClusterTime {
  return { t: Number.parseInt(position.slice(0, 8), 16), i: Number.parseInt(position.slice(8, 16), 16) };
}

/** The later of two positions. */
export const later = (a: Position, b: Position): Position => (a > b ? a : b);

/** Orders two cluster times: negative, zero or positive. */
export const compareTimes = (a: ClusterTime, b: ClusterTime): number => a.t - b.t || a.i - b.i;
