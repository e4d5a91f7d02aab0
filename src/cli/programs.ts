import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { environmentWith, whenNpmEnds } from '../config/load.ts';

const fileOf = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** Whether a program, named as `startProgram` takes it, was built. */
export const hasProgram = (path: string): boolean => existsSync(fileOf(path));

/**
 * Starts another program of this package, named from its built folder (`main.js`, `simulator/main.js`), on the same
 * terminal, but in a process group of its own: a Ctrl+C would otherwise reach it twice, once from the terminal and once
 * passed on, and a second signal means "at once". The channel is for its end alone: the program ends when it closes, that
 * is also when this process is killed. `settings` go before those of the environment.
 */
export function startProgram(
  path: string,
  args: readonly string[],
  settings: Readonly<Record<string, string>> = {},
): ChildProcess {
  return spawn(process.execPath, [fileOf(path), ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    detached: true,
    env: environmentWith(settings),
  });
}

/** Waits for the end of a program. A signal counts as shells count it: 128 and its number. */
export async function exitCodeOf(program: ChildProcess): Promise<number> {
  const [code, signal]: unknown[] = await once(program, 'exit');
  if (typeof code === 'number') return code;
  return signal === 'SIGINT' ? 130 : 143;
}

/** Runs a program to its end, and returns its exit code. A signal to this process asks the program to end. */
export async function runProgram(path: string, args: readonly string[]): Promise<number> {
  const program = startProgram(path, args);
  const pass = (): void => void program.kill('SIGTERM');
  process.on('SIGTERM', pass).on('SIGINT', pass);
  const forget = whenNpmEnds(pass);
  try {
    return await exitCodeOf(program);
  } finally {
    forget();
    process.off('SIGTERM', pass).off('SIGINT', pass);
  }
}
