/** What is measured, and how it is summed up. */

/** How a run was asked for. */
export interface Settings {
  /** Tiny parameters, to see that everything works; figures mean nothing. */
  readonly smoke: boolean;
  /** Repetitions; the order of the variants is reversed each time. Null leaves it to the bench. */
  readonly rounds: number | null;
  /** The replica set to use; null starts the built-in server. */
  readonly mongoUri: string | null;
  /** Numbers of clients, where a bench is about them; null leaves it to the bench. */
  readonly clients: readonly number[] | null;
  /** One line on what is being done. */
  say(words: string): void;
}

/** One measurement of one variant. Figures carry their unit in their name. */
export interface Sample {
  readonly variant: string;
  /** What else was varied, in words: `1000 clients, singly`. */
  readonly setting: string;
  readonly round: number;
  readonly figures: Readonly<Record<string, number>>;
  readonly lost: number;
  readonly repeated: number;
  readonly disordered: number;
}

export interface Goal {
  readonly words: string;
  /** Null when what it needs was not measured. */
  readonly value: number | null;
  readonly way: '<=' | '>=';
  readonly limit: number;
}

/** A picture of one figure: a bar for each variant in each setting. */
export interface Chart {
  readonly title: string;
  readonly figure: string;
  readonly unit: string;
}

export interface Outcome {
  readonly parameters: Readonly<Record<string, string | number>>;
  readonly mongo: string;
  readonly samples: readonly Sample[];
  readonly goals: readonly Goal[];
  /** What was left out, each with its reason. */
  readonly leftOut: readonly string[];
  readonly charts: readonly Chart[];
}

export interface Bench {
  readonly name: string;
  readonly question: string;
  /** A goal that is missed fails the run, also a tiny one. */
  readonly isStrict?: true;
  run(settings: Settings): Promise<Outcome>;
}

export interface Row {
  readonly variant: string;
  readonly setting: string;
  readonly figures: Readonly<Record<string, { readonly median: number; readonly values: readonly number[] }>>;
  readonly lost: number;
  readonly repeated: number;
  readonly disordered: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? Number.NaN;
  return Number.isInteger(middle) ? (upper + (sorted[middle - 1] ?? Number.NaN)) / 2 : upper;
}

/** The samples of each variant in each setting as one row: medians, and every value; losses are added up. */
export function rowsOf(samples: readonly Sample[]): Row[] {
  const groups = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = JSON.stringify([sample.setting, sample.variant]);
    groups.set(key, [...(groups.get(key) ?? []), sample]);
  }
  return [...groups.values()].map((group) => {
    const [first] = group;
    const names = [...new Set(group.flatMap(({ figures }) => Object.keys(figures)))];
    const figures = names.map((name) => {
      const values = group.map((sample) => sample.figures[name]).filter((value) => value !== undefined);
      return [name, { median: median(values), values }] as const;
    });
    const total = (read: (sample: Sample) => number): number => group.reduce((sum, sample) => sum + read(sample), 0);
    return {
      variant: first?.variant ?? '',
      setting: first?.setting ?? '',
      figures: Object.fromEntries(figures),
      lost: total(({ lost }) => lost),
      repeated: total(({ repeated }) => repeated),
      disordered: total(({ disordered }) => disordered),
    };
  });
}

/** The median of a figure; null when it was not measured. */
export function medianOf(rows: readonly Row[], setting: string, variant: string, figure: string): number | null {
  const row = rows.find((candidate) => candidate.setting === setting && candidate.variant === variant);
  return row?.figures[figure]?.median ?? null;
}

/** `a / b`, null where one is missing. */
export const ratio = (a: number | null, b: number | null): number | null => (a === null || b === null ? null : a / b);

/** `a - b`, null where one is missing. */
export const difference = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? null : a - b;

export const isReached = ({ value, way, limit }: Goal): boolean | null =>
  value === null ? null : way === '<=' ? value <= limit : value >= limit;

/** The variants of a round: every other one runs them backwards, so that what drifts meets them all alike. */
export const inTurn = <T>(variants: readonly T[], round: number): readonly T[] =>
  round % 2 === 0 ? variants : [...variants].reverse();
