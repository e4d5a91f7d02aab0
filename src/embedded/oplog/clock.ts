import { Timestamp } from 'bson';

/** A logical time: seconds and an ordinal within the second. */
export interface ClusterTime {
  readonly t: number;
  readonly i: number;
}

/** Negative when a is earlier. */
export function compareTimes(a: ClusterTime, b: ClusterTime): number {
  return a.t === b.t ? a.i - b.i : a.t - b.t;
}

export function toTimestamp(time: ClusterTime): Timestamp {
  return new Timestamp({ t: time.t, i: time.i });
}

export function fromTimestamp(value: Timestamp): ClusterTime {
  return { t: value.t, i: value.i };
}

/** The next possible time after `time`. */
export function successor(time: ClusterTime): ClusterTime {
  return { t: time.t, i: time.i + 1 };
}

export interface Clock {
  /** The highest time that was given out or heard of. */
  readonly clusterTime: ClusterTime;
  /** Gives out the next time: now, or the one after the highest, when the host's clock stood or went back. */
  tick(): ClusterTime;
  /** Learns a time from a client's `$clusterTime` or from the journal. */
  advance(time: ClusterTime): void;
}

export function createClock(nowSeconds: () => number = () => Math.floor(Date.now() / 1000)): Clock {
  let highest: ClusterTime = { t: nowSeconds(), i: 0 };
  return {
    get clusterTime() {
      return highest;
    },
    tick() {
      const seconds = nowSeconds();
      highest = seconds > highest.t ? { t: seconds, i: 1 } : successor(highest);
      return highest;
    },
    advance(time) {
      if (compareTimes(time, highest) > 0) highest = time;
    },
  };
}
