/**
 * What a program's command line asks for, by `read`. Where that returns null the usage is shown, where it throws the
 * reason and the usage; the process then ends with 0 or 2.
 */
export function commandLine<T extends object>(usage: string, read: () => T | null): T {
  let asked: T | null = null;
  try {
    asked = read();
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
    process.exit(2);
  }
  if (asked !== null) return asked;
  console.log(usage);
  return process.exit(0);
}

/** The option of every program. */
export const HELP = { type: 'boolean', short: 'h', default: false } as const;
