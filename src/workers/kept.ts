import { type ChildProcess, fork } from 'node:child_process';

export interface KeptOptions {
  /** The program, which is started with `args`. */
  readonly script: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  started(pid: number | undefined): void;
  said(message: unknown): void;
  failed(error: Error): void;
  /** It ended without being asked to: whether that was the end of it. */
  isOver(code: number | null): boolean;
  /** It ended otherwise, and is started again after `restartMs`. */
  died(end: { readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly restartMs: number }): void;
}

/** A child process that is started again when it dies. */
export interface Kept {
  readonly connected: boolean;
  send(message: object): void;
  /** Asks it to end, waits for that, and does not start it again. */
  stop(ask: (child: ChildProcess) => void): Promise<void>;
}

/** One that dies is started again after this, doubled each time up to the cap; forgotten after a quiet minute. */
const RESTART_MS = 500;
const RESTART_CAP_MS = 30_000;
const STABLE_MS = 60_000;

export function keepRunning(options: KeptOptions): Kept {
  let child: ChildProcess | null = null;
  let startedMs = 0;
  let deaths = 0;
  let stopping = false;
  let timer: NodeJS.Timeout | null = null;

  const start = (): void => {
    const started = fork(options.script, [...options.args], { env: { ...options.environment } });
    child = started;
    startedMs = performance.now();
    started.on('message', options.said);
    // Once for each way to end: a process that could not be started has no 'exit'.
    let isOver = false;
    const over = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (isOver) return;
      isOver = true;
      child = null;
      if (stopping || options.isOver(code)) return;
      if (performance.now() - startedMs > STABLE_MS) deaths = 0;
      const restartMs = Math.min(RESTART_CAP_MS, RESTART_MS * 2 ** deaths++);
      options.died({ code, signal, restartMs });
      timer = setTimeout(start, restartMs);
    };
    started.once('exit', over);
    started.on('error', (error) => {
      options.failed(error);
      if (started.pid === undefined) over(null, null);
    });
    options.started(started.pid);
  };
  start();

  return {
    get connected() {
      return child?.connected === true;
    },
    send(message) {
      // A process that was killed a moment ago still counts as connected. With a callback the failure is told to that
      // alone; without, it is an 'error' event. 'exit' follows and is what counts.
      if (child?.connected === true) child.send(message, undefined, undefined, () => undefined);
    },
    async stop(ask) {
      stopping = true;
      if (timer !== null) clearTimeout(timer);
      const running = child;
      if (running === null || running.exitCode !== null || running.signalCode !== null) return;
      await new Promise<void>((resolve) => {
        running.once('exit', () => resolve());
        ask(running);
      });
    },
  };
}
