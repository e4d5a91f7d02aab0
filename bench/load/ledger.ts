import type { Histogram } from 'hdr-histogram-js';
import { createHistogram, record } from '../harness/histogram.ts';
import { INTENDED_AT, INTENDED_DIGITS, MARK, SEQ_AT, SEQ_DIGITS } from '../harness/spin.ts';

/** Counts what every client of this process got of the awaited spins. */
export interface Ledger {
  /** Books a frame's spins for a client; true when the client's last awaited one came with it. */
  book(client: number, bytes: Buffer, start: number, end: number, nowUs: number): boolean;
  readonly histogram: Histogram;
  readonly lastUs: Float64Array;
  readonly times: Float64Array;
  delivered(): number;
  repeated(): number;
  disordered(): number;
  /** What the clients that count did not get. */
  lost(isCounted: (client: number) => boolean): number;
}

const ZERO = 48;
const mark = Buffer.from(MARK);
const [FIRST_LETTER] = mark;

function digitsAt(bytes: Buffer, at: number, count: number): number {
  let value = 0;
  for (let index = at; index < at + count; index++) value = value * 10 + (bytes[index] ?? 0) - ZERO;
  return value;
}

function nextMark(bytes: Buffer, start: number, end: number): number {
  const found = bytes.subarray(start, end).indexOf(mark);
  return found < 0 ? -1 : start + found;
}

export interface Awaited {
  readonly clients: number;
  readonly first: number;
  readonly count: number;
  readonly keepTimes: boolean;
  /** Whether one frame may hold several spins, as brokers do. */
  readonly several: boolean;
}

export function createLedger({ clients, first, count, keepTimes, several }: Awaited): Ledger {
  const seen = new Uint8Array(clients * count);
  const left = new Int32Array(clients).fill(count);
  const highest = new Int32Array(clients).fill(-1);
  const lastUs = new Float64Array(count);
  const times = new Float64Array(keepTimes ? clients * count : 0);
  const histogram = createHistogram();
  let delivered = 0;
  let repeated = 0;
  let disordered = 0;
  /** Where the mark stood in the last frame: in frames of one kind it always stands there. */
  let usualAt = 0;

  const markIn = (bytes: Buffer, start: number, end: number): number => {
    const usual = start + usualAt;
    if (usual < end && bytes[usual] === FIRST_LETTER && mark.compare(bytes, usual, usual + mark.length) === 0) {
      return usual;
    }
    const found = nextMark(bytes, start, end);
    if (found >= 0) usualAt = found - start;
    return found;
  };

  /** Books one spin; true when it was the client's last awaited one. */
  const bookOne = (client: number, bytes: Buffer, at: number, nowUs: number): boolean => {
    const index = digitsAt(bytes, at + SEQ_AT, SEQ_DIGITS) - first;
    if (index < 0 || index >= count) return false;
    const cell = client * count + index;
    if (seen[cell] === 1) {
      repeated++;
      return false;
    }
    seen[cell] = 1;
    delivered++;
    if (index < (highest[client] ?? -1)) disordered++;
    else highest[client] = index;
    record(histogram, nowUs - digitsAt(bytes, at + INTENDED_AT, INTENDED_DIGITS));
    if (nowUs > (lastUs[index] ?? 0)) lastUs[index] = nowUs;
    if (keepTimes) times[cell] = nowUs;
    const remaining = (left[client] ?? 0) - 1;
    left[client] = remaining;
    return remaining === 0;
  };

  return {
    histogram,
    lastUs,
    times,
    delivered: () => delivered,
    repeated: () => repeated,
    disordered: () => disordered,
    lost(isCounted) {
      let missing = 0;
      for (let client = 0; client < clients; client++) if (isCounted(client)) missing += left[client] ?? 0;
      return missing;
    },
    book(client, bytes, start, end, nowUs) {
      let at = markIn(bytes, start, end);
      let isLast = at >= 0 && bookOne(client, bytes, at, nowUs);
      while (several && at >= 0) {
        at = nextMark(bytes, at + mark.length, end);
        if (at >= 0) isLast = bookOne(client, bytes, at, nowUs) || isLast;
      }
      return isLast;
    },
  };
}
