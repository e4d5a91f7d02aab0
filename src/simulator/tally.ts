/** What happened so far, for the line per second and the summary. */
export interface RunTally {
  readonly sent: number;
  readonly acknowledged: number;
  readonly duplicates: number;
  readonly refused: number;
  /** Attempts that failed, whether or not a later one succeeded. */
  readonly errors: number;
  /** Items given up after repeated failures. */
  readonly lost: number;
  readonly waiting: number;
  readonly lastError: string | null;
  readonly reasons: ReadonlyMap<string, number>;
}

export interface TallyKeeper {
  read(): RunTally;
  sent(): void;
  settled(how: 'acknowledged' | 'duplicates' | 'refused' | 'lost'): void;
  error(reason: string): void;
}

/** Distinct reasons that are told apart; a server could otherwise fill memory with its words. */
const MAX_REASONS = 50;

export function createTally(): TallyKeeper {
  const counts = { sent: 0, acknowledged: 0, duplicates: 0, refused: 0, errors: 0, lost: 0, waiting: 0 };
  const reasons = new Map<string, number>();
  let lastError: string | null = null;
  return {
    read: () => ({ ...counts, lastError, reasons }),
    sent() {
      counts.sent += 1;
      counts.waiting += 1;
    },
    settled(how) {
      counts[how] += 1;
      counts.waiting -= 1;
    },
    error(reason) {
      counts.errors += 1;
      lastError = reason;
      const name = reasons.has(reason) || reasons.size < MAX_REASONS ? reason : 'other';
      reasons.set(name, (reasons.get(name) ?? 0) + 1);
    },
  };
}

/** One line of progress. `delivered` is null when nobody verifies. */
export function progressLine(seconds: number, tally: RunTally, delivered: number | null): string {
  const parts = [
    `${seconds} s`,
    `sent ${tally.sent}`,
    `acknowledged ${tally.acknowledged}`,
    `duplicates ${tally.duplicates}`,
    `errors ${tally.errors}`,
  ];
  if (tally.refused > 0) parts.push(`refused ${tally.refused}`);
  if (tally.waiting > 0) parts.push(`waiting ${tally.waiting}`);
  if (delivered !== null) parts.push(`delivered ${delivered}`);
  if (tally.lastError !== null) parts.push(`last error: ${tally.lastError}`);
  return parts.join('  ');
}

/** What was acknowledged against what was delivered. */
export interface Verification {
  readonly delivered: number;
  /** Acknowledged and not delivered. */
  readonly missing: readonly string[];
  /** Delivered live more than once. */
  readonly repeated: readonly string[];
}

export interface Verifier {
  expect(key: string): void;
  /** `snapshot`: seen in a snapshot, which may show again what was delivered before. */
  delivered(key: string, snapshot: boolean): void;
  read(): Verification;
  /** Resolves when nothing is missing, at the latest after so many milliseconds. */
  settled(timeoutMs: number): Promise<void>;
}

/** Settled pairs are forgotten after so many more, so that a simulator may run for weeks. */
const REMEMBERED = 100_000;

export function createVerifier(): Verifier {
  const expected = new Set<string>();
  const seen = new Map<string, number>();
  const repeated = new Set<string>();
  let delivered = 0;
  let complete = (): void => undefined;
  const match = (key: string): void => {
    if (!expected.has(key) || !seen.has(key)) return;
    expected.delete(key);
    delivered += 1;
    if (expected.size === 0) complete();
  };
  return {
    expect(key) {
      expected.add(key);
      match(key);
    },
    delivered(key, snapshot) {
      const times = (seen.get(key) ?? 0) + (snapshot ? 0 : 1);
      seen.set(key, times);
      if (times > 1) repeated.add(key);
      for (const oldest of seen.keys()) {
        if (seen.size <= REMEMBERED) break;
        seen.delete(oldest);
      }
      match(key);
    },
    read: () => ({ delivered, missing: [...expected], repeated: [...repeated] }),
    async settled(timeoutMs) {
      if (expected.size === 0) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        complete = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    },
  };
}
