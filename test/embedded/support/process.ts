import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

export interface ServerProcess {
  /** The URI that the process printed. */
  readonly uri: string;
  readonly port: number;
  readonly child: ChildProcess;
  /** Ends it with the signal and waits until it is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
}

const MAIN = new URL('../../../src/embedded/main.ts', import.meta.url);

/** The command line program, or another, as one file inside the project, where its packages are found. */
export async function buildCli(name: string, entry = MAIN): Promise<string> {
  const folder = fileURLToPath(new URL('../../../dist/test-embedded/', import.meta.url));
  mkdirSync(folder, { recursive: true });
  const outfile = `${folder}${name}.mjs`;
  await build({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    outfile,
    logLevel: 'silent',
  });
  return outfile;
}

async function listeningLine(lines: Interface): Promise<string | undefined> {
  for await (const line of lines) if (line.startsWith('listening ')) return line;
  return undefined;
}

/** Starts the program and waits for its "listening" line. */
export async function startProcess(program: string, args: readonly string[]): Promise<ServerProcess> {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const line: unknown = await Promise.race([listeningLine(lines), once(child, 'exit').then(() => undefined)]);
  const found = /^listening (mongodb:\/\/[^/]+:(\d+)\/\S*)$/.exec(String(line));
  if (found === null) throw new Error(`the server did not start: ${String(line)}`);
  return {
    uri: found[1] ?? '',
    port: Number(found[2]),
    child,
    async end(signal) {
      const gone = once(child, 'exit');
      child.kill(signal);
      await gone;
    },
  };
}
