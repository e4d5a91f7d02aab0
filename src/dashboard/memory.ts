/** What the page remembers between visits, and for as long as it is open where the browser stores nothing for it. */
export interface Memory {
  get(key: string): string | null;
  set(key: string, value: string | null): void;
}

const PREFIX = 'runcash-live.';

/** Storage may be blocked (SecurityError) or full (QuotaExceededError): both are no reason to stop. */
function tried<T>(ask: (storage: Storage) => T): T | null {
  try {
    return ask(window.localStorage);
  } catch (error) {
    console.warn(`nothing is stored: ${error}`);
    return null;
  }
}

export function createMemory(): Memory {
  const known = new Map<string, string | null>();
  return {
    get(key) {
      if (!known.has(key))
        known.set(
          key,
          tried((storage) => storage.getItem(PREFIX + key)),
        );
      return known.get(key) ?? null;
    },
    set(key, value) {
      known.set(key, value);
      tried((storage) => (value === null ? storage.removeItem(PREFIX + key) : storage.setItem(PREFIX + key, value)));
    },
  };
}
