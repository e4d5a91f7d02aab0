/** Memory of one process at one moment. */
export interface Sample {
  /** Since the load began. */
  readonly seconds: number;
  readonly kb: number;
}

export interface Growth {
  /** Medians, in KB. */
  readonly beforeKb: number;
  readonly afterKb: number;
  /** 0.05 is 5 % more at the end. */
  readonly share: number;
}

const median = (values: readonly number[]): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
};

interface Window {
  /** Seconds since the load began. */
  readonly from: number;
  readonly to: number;
}

/**
 * When memory is looked at: around the end of the first minute, and in the last seconds. Of a run shorter than two
 * minutes the first half stands for the first minute.
 */
export function windowsOf(totalSeconds: number): { readonly before: Window; readonly after: Window } {
  const warm = Math.min(60, totalSeconds / 2);
  const width = Math.max(5, warm / 3);
  return {
    before: { from: warm - width / 2, to: warm + width / 2 },
    after: { from: totalSeconds - width, to: totalSeconds },
  };
}

/** How much memory grew from the first window to the second: medians, since single values jump. */
export function growthOf(samples: readonly Sample[]): Growth {
  const { before, after } = windowsOf(samples.at(-1)?.seconds ?? 0);
  const within = ({ from, to }: Window): number =>
    median(samples.filter(({ seconds }) => seconds >= from && seconds <= to).map(({ kb }) => kb));
  const beforeKb = within(before);
  const afterKb = within(after);
  return { beforeKb, afterKb, share: afterKb / beforeKb - 1 };
}

/** The lowest values around the end of the first minute, the middle and the end, in KB: what stays after a collection. */
export function lowsOf(samples: readonly Sample[]): number[] {
  const total = samples.at(-1)?.seconds ?? 0;
  const warm = Math.min(60, total / 2);
  const low = (at: number): number =>
    Math.min(...samples.filter(({ seconds }) => seconds >= at - 20 && seconds <= at + 20).map(({ kb }) => kb));
  return [low(warm), low(total / 2), low(total)];
}
