import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** Starts another program of this package, named from its built folder (`main.js`, `simulator/main.js`), on the same terminal. */
export function startProgram(path: string, args: readonly string[]): ChildProcess {
  const file = fileURLToPath(new URL(`../${path}`, import.meta.url));
  return spawn(process.execPath, [file, ...args], { stdio: 'inherit' });
}

/** Waits for the end of a program. A signal counts as shells count it: 128 and its number. */
export async function exitCodeOf(program: ChildProcess): Promise<number> {
  const [code, signal]: unknown[] = await once(program, 'exit');
  if (typeof code === 'number') return code;
  return signal === 'SIGINT' ? 130 : 143;
}

/**
 * Runs a program to its end and returns its exit code. Signals that only this process gets are passed on; a Ctrl+C
 * reaches both by itself.
 */
export async function runProgram(path: string, args: readonly string[]): Promise<number> {
  const program = startProgram(path, args);
  const pass = (): void => void program.kill('SIGTERM');
  const ignore = (): void => undefined;
  process.on('SIGTERM', pass).on('SIGINT', ignore);
  try {
    return await exitCodeOf(program);
  } finally {
    process.off('SIGTERM', pass).off('SIGINT', ignore);
  }
}
