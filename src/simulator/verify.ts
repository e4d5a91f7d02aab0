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
