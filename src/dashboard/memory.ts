/** What the page remembers between visits. Where storage is blocked it remembers nothing, and works all the same. */
export interface Memory {
  get(key: string): string | null;
  set(key: string, value: string | null): void;
}

const PREFIX = 'runcash-live.';

function storage(): Storage | null {
  try {
    return window.localStorage;
  } catch {
    // SecurityError: cookies and storage are blocked for this page.
    return null;
  }
}

export function createMemory(): Memory {
  const kept = storage();
  return {
    get: (key) => kept?.getItem(PREFIX + key) ?? null,
    set(key, value) {
      if (value === null) kept?.removeItem(PREFIX + key);
      else kept?.setItem(PREFIX + key, value);
    },
  };
}
