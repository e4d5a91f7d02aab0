import { type ChildProcess, fork } from 'node:child_process';
import type { Log } from '../log/log.ts';
import { fromWorker, type ToWorker, type WorkerBrief } from './messages.ts';

export interface WorkersOptions {
  readonly count: number;
  /** The program of a worker; it is started with `--worker N`. */
  readonly script: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
}

export interface Workers {
  /** Resolves when every worker has served subscribers. */
  readonly ready: Promise<void>;
  /** Asks every worker to end, waits for them, and starts none again. */
  stop(): Promise<void>;
}

/** A worker that dies is started again after this, doubled each time up to the cap; forgotten after a quiet minute. */
const RESTART_MS = 500;
const RESTART_CAP_MS = 30_000;
const STABLE_MS = 60_000;
const METRICS_MS = 2_000;

interface Worker {
  readonly index: number;
  child: ChildProcess | null;
  startedMs: number;
  deaths: number;
  brief: WorkerBrief | null;
}

/**
 * Starts processes that share one port (SO_REUSEPORT), each with a change stream of its own: no bus between them,
 * since each has everything. A dead one is started again.
 */
export function startWorkers({ count, script, environment, log }: WorkersOptions): Workers {
  let stopping = false;
  let questions = 0;
  const timers = new Set<NodeJS.Timeout>();
  let allReady = (): void => undefined;
  const ready = new Promise<void>((resolve) => {
    allReady = resolve;
  });
  const workers = Array.from(
    { length: count },
    (_, at): Worker => ({
      index: at + 1,
      child: null,
      startedMs: 0,
      deaths: 0,
      brief: null,
    }),
  );

  const send = (worker: Worker, message: ToWorker): void => {
    // A worker that was killed a moment ago still counts as connected. With a callback the failure is told to that
    // alone; without, it is an 'error' event. 'exit' follows and is what counts.
    if (worker.child?.connected === true) worker.child.send(message, undefined, undefined, () => undefined);
  };

  /** Metrics of all workers for the one that was asked, without those that do not answer in time. */
  const gather = (asker: Worker, id: number): void => {
    const question = `q${++questions}`;
    const parts: { worker: string; text: string }[] = [];
    const asked = workers.filter(({ child }) => child?.connected === true);
    let open = asked.length;
    const answer = (): void => {
      clearTimeout(late);
      timers.delete(late);
      answers.delete(question);
      send(asker, { type: 'all_metrics', id, parts });
    };
    const late = setTimeout(answer, METRICS_MS);
    timers.add(late);
    answers.set(question, (worker, text) => {
      parts.push({ worker: String(worker.index), text });
      if (--open === 0) answer();
    });
    for (const worker of asked) send(worker, { type: 'tell_metrics', id: question });
  };
  const answers = new Map<string, (worker: Worker, text: string) => void>();

  const onMessage = (worker: Worker, raw: unknown): void => {
    const parsed = fromWorker.safeParse(raw);
    if (!parsed.success) return;
    const message = parsed.data;
    switch (message.type) {
      case 'brief': {
        worker.brief = message.brief;
        if (workers.every(({ brief }) => brief?.ready === true)) allReady();
        const briefs = workers.map(({ brief }) => brief).filter((brief) => brief !== null);
        for (const other of workers) send(other, { type: 'briefs', briefs });
        return;
      }
      case 'ask_metrics':
        gather(worker, message.id);
        return;
      case 'metrics':
        answers.get(message.id)?.(worker, message.text);
        return;
      default:
        message satisfies never;
    }
  };

  const start = (worker: Worker): void => {
    if (stopping) return;
    const child = fork(script, ['--worker', String(worker.index)], { env: { ...environment } });
    worker.child = child;
    worker.startedMs = performance.now();
    child.on('message', (raw) => onMessage(worker, raw));
    // Once for each way to end: a process that could not be started has no 'exit'.
    let isOver = false;
    const over = (code: number | null, signal: NodeJS.Signals | null): void => {
      if (isOver) return;
      isOver = true;
      worker.child = null;
      worker.brief = null;
      if (stopping) return;
      if (performance.now() - worker.startedMs > STABLE_MS) worker.deaths = 0;
      const waitMs = Math.min(RESTART_CAP_MS, RESTART_MS * 2 ** worker.deaths++);
      log.error('worker_died', { worker: worker.index, code, signal, restartMs: waitMs });
      const timer = setTimeout(() => {
        timers.delete(timer);
        start(worker);
      }, waitMs);
      timers.add(timer);
    };
    child.once('exit', over);
    child.on('error', (error) => {
      log.error('worker_failed', { worker: worker.index, error: error.message });
      if (child.pid === undefined) over(null, null);
    });
    log.info('worker_started', { worker: worker.index, workerPid: child.pid });
  };
  for (const worker of workers) start(worker);

  return {
    ready,
    async stop() {
      stopping = true;
      for (const timer of timers) clearTimeout(timer);
      await Promise.all(
        workers.map(({ child }) => {
          if (child === null || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
          return new Promise<void>((resolve) => {
            child.once('exit', () => resolve());
            child.kill('SIGTERM');
          });
        }),
      );
    },
  };
}
