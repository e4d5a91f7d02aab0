import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A process that a bench started; the bench, or at the latest the end of this process, ends it. */
export interface Child {
  readonly pid: number;
  /** The first match in a line of its output, present or to come; rejects when it ends without one. */
  line(pattern: RegExp): Promise<RegExpMatchArray>;
  /** Sends a message to a program of this project. */
  send(message: object): void;
  /** The next message of it that `read` makes something of; rejects when it ends first. */
  message<T>(read: (message: unknown) => T | null): Promise<T>;
  /** Ends it by a signal, and resolves when it is gone. */
  end(signal?: NodeJS.Signals): Promise<void>;
}

export interface ChildOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Options of Node itself. */
  readonly node?: readonly string[];
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** The longest that a bench waits for a word of a process. */
const PATIENCE_MS = 300_000;

/** Lines kept for the words of an error. */
const LINES_KEPT = 200;

/** A built file of this project, by its path below the folder of the build, without ending: `src/main`, `bench/load/posts`. */
export function startProgram(file: string, { args = [], env = {}, node = [] }: ChildOptions = {}): Child {
  const path = fileURLToPath(new URL(`../../${file}.js`, import.meta.url));
  const child = fork(path, args, {
    execArgv: [...node],
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    serialization: 'advanced',
  });
  return watch(file, child);
}

/** Any other program. */
export function startCommand(command: string, args: readonly string[]): Child {
  return watch(command, spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
}

function watch(name: string, child: ChildProcess): Child {
  running.add(child);
  const lines: string[] = [];
  const looks = new Set<() => void>();
  const messages = new Set<(message: unknown) => void>();
  let problem: string | null = null;
  const wake = (): void => {
    for (const look of [...looks]) look();
  };
  for (const stream of [child.stdout, child.stderr]) {
    if (stream === null) continue;
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (lines.length > LINES_KEPT) lines.shift();
      wake();
    });
  }
  child.on('message', (message) => {
    for (const look of [...messages]) look(message);
  });
  const gone = (why: string): void => {
    running.delete(child);
    problem ??= why;
    wake();
  };
  const exited = new Promise<void>((resolve) => {
    child.once('close', (code, signal) => {
      gone(`${name} ended (${signal ?? code})`);
      resolve();
    });
    child.once('error', (error) => {
      gone(`${name}: ${error.message}`);
      resolve();
    });
  });
  /** Waits until `found` gives something, or the process is gone. */
  const until = <T>(found: () => T | null, subscribe: (look: () => void) => () => void): Promise<T> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const result = found();
        if (result === null && problem === null) return;
        clearTimeout(late);
        stop();
        if (result !== null) resolve(result);
        else reject(new Error(`${problem}:\n${lines.slice(-15).join('\n')}`));
      };
      const late = setTimeout(() => {
        stop();
        reject(new Error(`${name} said nothing of what was awaited:\n${lines.slice(-15).join('\n')}`));
      }, PATIENCE_MS);
      const stop = subscribe(look);
      look();
    });
  const onLooks = (look: () => void): (() => void) => {
    looks.add(look);
    return () => looks.delete(look);
  };
  return {
    pid: child.pid ?? 0,
    line: (pattern) => {
      const find = (): RegExpMatchArray | null => {
        for (const line of lines) {
          const found = line.match(pattern);
          if (found !== null) return found;
        }
        return null;
      };
      return until(find, onLooks);
    },
    send: (message) => void child.send(message),
    message: (read) => {
      const found: { value: ReturnType<typeof read> } = { value: null };
      return until(
        () => found.value,
        (look) => {
          const receive = (message: unknown): void => {
            found.value ??= read(message);
            look();
          };
          messages.add(receive);
          const stop = onLooks(look);
          return () => {
            messages.delete(receive);
            stop();
          };
        },
      );
    },
    async end(signal = 'SIGTERM') {
      if (running.has(child)) {
        child.kill(signal);
        const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
        await exited;
        clearTimeout(late);
      }
    },
  };
}

/** Ends the whole process when it is interrupted, so that `exit` ends what it started. */
export function endOnInterrupt(): void {
  void once(process, 'SIGINT').then(() => process.exit(130));
  void once(process, 'SIGTERM').then(() => process.exit(143));
}
