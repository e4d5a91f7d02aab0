/** Where the gateway writes what an operator should know. Fields are bounded; no tokens, no query strings. */
export interface GateLog {
  info(event: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(event: string, fields?: Readonly<Record<string, unknown>>): void;
  error(event: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Text from a client for a log line: bounded, without control characters. */
export function loggable(text: string): string {
  let clean = '';
  for (const char of text.slice(0, 200)) clean += char >= ' ' && char !== '\u007f' ? char : '?';
  return clean;
}
