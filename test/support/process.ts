import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { TEST_NETWORK } from './network.ts';

/** A process of this project that a test started, and ends. */
export interface Running {
  readonly child: ChildProcess;
  /** Every line of its standard output and error so far. */
  readonly lines: readonly string[];
  /** The first match of a pattern in a line, present or to come; rejects when the process ends without one. */
  line(pattern: RegExp): Promise<RegExpMatchArray>;
  /** Resolves with the exit code, or null after a signal. */
  readonly exited: Promise<number | null>;
  /** Sends a signal and waits for the end. */
  end(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Starts a built file of `dist/` with Node. The environment is the test's own, with `env` over it. */
export function startProcess(
  file: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Running {
  const child = spawn(process.execPath, [`dist/${file}`, ...args], {
    env: { NETWORK: TEST_NETWORK, ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // A test that fails before it ends its process must not leave it behind.
  const kill = (): boolean => child.kill('SIGKILL');
  process.once('exit', kill);
  const lines: string[] = [];
  const looks = new Set<() => void>();
  let closed = false;
  const wake = (): void => {
    for (const look of [...looks]) look();
  };
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      wake();
    });
  }
  const exited = once(child, 'close').then(([code]) => {
    closed = true;
    process.off('exit', kill);
    wake();
    return typeof code === 'number' ? code : null;
  });
  return {
    child,
    lines,
    exited,
    line: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          for (const line of lines) {
            const found = line.match(pattern);
            if (found === null) continue;
            looks.delete(look);
            resolve(found);
            return;
          }
          if (!closed) return;
          looks.delete(look);
          reject(new Error(`${file} ended without ${pattern}:\n${lines.slice(-20).join('\n')}`));
        };
        looks.add(look);
        look();
      }),
    async end(signal = 'SIGTERM') {
      child.kill(signal);
      return await exited;
    },
  };
}

/** A port that was free a moment ago; workers must be told one, since they share it. */
export async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const match = (found: RegExpMatchArray): string => found[1] ?? '';

/** The service as a process on a free port, over the MongoDB at `uri`, ready to serve. */
export async function startRuncashProcess(
  uri: string,
  database: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Running & { readonly url: string; readonly port: number }> {
  const running = startProcess('src/main.js', [], {
    PORT: '0',
    MONGODB_URI: uri,
    MONGODB_DB_NAME: database,
    DRAIN_SECONDS: '0',
    ...env,
  });
  const url = match(await running.line(/"url":"(https?:\/\/[^"]+)"/));
  await running.line(/"event":"ready"/);
  return Object.assign(running, { url, port: Number(new URL(url).port) });
}

/** The built-in MongoDB as a process; `uri` is where it listens. */
export async function startMongoProcess(args: readonly string[] = ['--port', '0']) {
  const running = startProcess('src/embedded/main.js', args);
  return Object.assign(running, { uri: match(await running.line(/listening (mongodb:\S+)/)) });
}
