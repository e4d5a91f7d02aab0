/** How deep, long and wide a logged value may be; more is cut, since a log line must stay a line. */
const MAX_DEPTH = 6;
const MAX_TEXT = 2000;
const MAX_ENTRIES = 50;

const HIDDEN = '[redacted]';

/** Fields whose value is never logged, whatever it is. */
const SECRET_NAME = /secret|token$|passw|authori[sz]ation|cookie|credential|jwt|(api|admin|private)[-_]?key/i;

/** Secrets inside texts: credentials of an address, tokens of a query, header values, bare JWTs. */
const SECRET_TEXTS: ReadonlyArray<readonly [RegExp, string]> = [
  // A password with an unescaped /, ?, # or @ is an invalid address, which is just what an error message quotes.
  [/(mongodb(?:\+srv)?:\/\/)\S+@/gi, `$1${HIDDEN}@`],
  [/([a-z][a-z0-9+.-]*:\/\/)[^\s/?#@]+@/gi, `$1${HIDDEN}@`],
  [/((?:^|[?&\s;,(])(?:access_token|token|jwt|key|secret|password)=)[^&\s"'#]+/gi, `$1${HIDDEN}`],
  [/\b(bearer|basic)(\s+|\.)[A-Za-z0-9+/=._~-]{8,}/gi, `$1$2${HIDDEN}`],
  [/\beyJ[\w-]{5,}\.[\w-]+\.[\w-]*/g, HIDDEN],
];

/**
 * Terminals obey control characters, and format characters (bidi overrides, zero-width ones, tags) show a reader another
 * text than the one that is there: none of them gets into a line as it is (log injection).
 */
const CONTROL = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Any fields in, fields that may be logged out. */
export type Redact = (fields: Readonly<Record<string, unknown>>) => Record<string, unknown>;

/**
 * Makes a function that turns any fields into ones that may be logged: plain, bounded, without control characters and
 * without secrets. `secrets` are texts that are hidden wherever they occur. It never throws.
 */
export function makeRedact(secrets: readonly string[] = []): Redact {
  const known = secrets.filter((text) => text.length > 0);

  const clean = (text: string): string => {
    // More than is shown is searched: a secret that the cut goes through would not be recognized.
    let result = text.slice(0, 2 * MAX_TEXT);
    for (const one of known) result = result.replaceAll(one, HIDDEN);
    for (const [pattern, replacement] of SECRET_TEXTS) result = result.replace(pattern, replacement);
    return text.length > MAX_TEXT ? `${result.slice(0, MAX_TEXT)}... (${text.length} characters)` : result;
  };

  const visible = (text: string): string => clean(text).replace(CONTROL, escaped);

  const fields = (entries: Iterable<readonly [string, unknown]>, depth: number): Record<string, unknown> => {
    const result: Record<string, unknown> = {};
    let count = 0;
    for (const [name, value] of entries) {
      count += 1;
      if (count > MAX_ENTRIES) {
        result['...'] = 'more';
        break;
      }
      const shown = SECRET_NAME.test(name) && isPresent(value) ? HIDDEN : walk(value, depth + 1);
      // Assignment to `__proto__` would set the prototype instead of a field.
      Object.defineProperty(result, visible(name), { value: shown, enumerable: true, configurable: true });
    }
    return result;
  };

  const ofError = (error: Error, depth: number): Record<string, unknown> => ({
    ...fields(Object.entries(error), depth),
    name: visible(error.name),
    message: visible(error.message),
    // Line ends are kept here: the stack is made by the engine, but its first lines repeat the message.
    stack: error.stack === undefined ? null : clean(error.stack).split('\n').map(visible).join('\n'),
    ...(error.cause === undefined ? {} : { cause: walk(error.cause, depth + 1) }),
  });

  const walk = (value: unknown, depth: number): unknown => {
    if (typeof value === 'string') return visible(value);
    if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
    if (typeof value === 'function') return '[function]';
    if (typeof value !== 'object' || value === null) return value;
    if (depth > MAX_DEPTH) return '[deeper]';
    if (value instanceof Error) return ofError(value, depth);
    if (value instanceof Uint8Array) return `[${value.byteLength} bytes]`;
    if (Array.isArray(value)) {
      const items = value.slice(0, MAX_ENTRIES).map((item) => walk(item, depth + 1));
      return value.length > MAX_ENTRIES ? [...items, `... ${value.length} in all`] : items;
    }
    if (value instanceof Map)
      return fields(
        [...value].map(([name, item]) => [String(name), item]),
        depth,
      );
    if (value instanceof Set) return walk([...value], depth);
    if ('toJSON' in value && typeof value.toJSON === 'function') return walk(value.toJSON(), depth + 1);
    return fields(Object.entries(value), depth);
  };

  return (given) => {
    try {
      return fields(
        Object.entries(given).map(([name, value]) => [RESERVED.has(name) ? `${name}_` : name, value] as const),
        0,
      );
    } catch (error) {
      // A getter or toJSON of a foreign object threw: the line is still worth having.
      return { not_loggable: error instanceof Error ? visible(error.message) : 'unknown' };
    }
  };
}

/** What the log itself writes on every line. */
const RESERVED: ReadonlySet<string> = new Set(['level', 'time', 'pid', 'event', 'msg']);

const isPresent = (value: unknown): boolean => value !== null && value !== undefined && value !== '';

const escaped = (character: string): string => {
  const code = (character.codePointAt(0) ?? 0).toString(16);
  return code.length > 4 ? `\\u{${code}}` : `\\u${code.padStart(4, '0')}`;
};
