import { type ChildProcess, fork } from 'node:child_process';
import type { Log } from '../log/log.ts';
import { fromWorker, type ToWorker, type WorkerAnswer, type WorkerBrief, type WorkerQuestion } from './messages.ts';

export interface WorkersOptions {
  readonly count: number;
  /** The program of a worker; it is started with `--worker N`. */
  readonly script: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The exit code of a worker that it would be useless to start again. */
  readonly hopelessCode: number;
  readonly log: Log;
}

/** A worker cannot start, as its own log says, and none runs any more. */
export class WorkersFailedError extends Error {
  override readonly name = 'WorkersFailedError';
}

export interface Workers {
  /** Resolves when every worker has served subscribers. */
  readonly ready: Promise<void>;
  /** Rejects with WorkersFailedError when a worker says, before all were ready, that it can never start. */
  readonly failed: Promise<never>;
  /** Asks every worker to end, waits for them, and starts none again. */
  stop(): Promise<void>;
}

/** A worker that dies is started again after this, doubled each time up to the cap; forgotten after a quiet minute. */
const RESTART_MS = 500;
const RESTART_CAP_MS = 30_000;
const STABLE_MS = 60_000;
const ANSWER_MS = 2_000;

interface Worker {
  readonly index: number;
  child: ChildProcess | null;
  startedMs: number;
  deaths: number;
  brief: WorkerBrief | null;
}

function send({ child }: Worker, message: ToWorker): void {
  // A worker that was killed a moment ago still counts as connected. With a callback the failure is told to that
  // alone; without, it is an 'error' event. 'exit' follows and is what counts.
  if (child?.connected === true) child.send(message, undefined, undefined, () => undefined);
}

/** What workers ask of all of them. */
interface Questions {
  /** Asks all for one of them, which gets what came in time. */
  ask(asker: Worker, id: number, question: WorkerQuestion): void;
  take(worker: Worker, id: string, text: string): void;
  stop(): void;
}

function createQuestions(workers: readonly Worker[]): Questions {
  const open = new Map<string, (worker: Worker, text: string) => void>();
  const timers = new Set<NodeJS.Timeout>();
  let asked = 0;
  return {
    ask(asker, askersId, question) {
      const id = `q${++asked}`;
      const answers: WorkerAnswer[] = [];
      const reachable = workers.filter(({ child }) => child?.connected === true);
      const finish = (): void => {
        clearTimeout(late);
        timers.delete(late);
        open.delete(id);
        send(asker, { type: 'answers', id: askersId, answers });
      };
      const late = setTimeout(finish, ANSWER_MS);
      timers.add(late);
      open.set(id, (worker, text) => {
        answers.push({ worker: String(worker.index), text });
        if (answers.length === reachable.length) finish();
      });
      for (const worker of reachable) send(worker, { type: 'question', id, question });
    },
    take: (worker, id, text) => open.get(id)?.(worker, text),
    stop() {
      for (const timer of timers) clearTimeout(timer);
    },
  };
}

/** Takes what workers send: their briefs go to all of them, their questions too. `allReady` is told each time it is so. */
function createReception(workers: readonly Worker[], questions: Questions, allReady: () => void) {
  return (worker: Worker, raw: unknown): void => {
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
      case 'ask':
        questions.ask(worker, message.id, message.question);
        return;
      case 'answer':
        questions.take(worker, message.id, message.text);
        return;
      default:
        message satisfies never;
    }
  };
}

/** Asks one to end, and resolves when it has. */
async function ended({ child }: Worker): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return;
  await new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}

/**
 * Starts processes that share one port (SO_REUSEPORT), each with a change stream of its own: no bus between them,
 * since each has everything. A dead one is started again.
 */
export function startWorkers({ count, script, environment, hopelessCode, log }: WorkersOptions): Workers {
  let stopping = false;
  let wereReady = false;
  const timers = new Set<NodeJS.Timeout>();
  let allReady = (): void => undefined;
  const ready = new Promise<void>((resolve) => {
    allReady = resolve;
  });
  let fail = (_error: WorkersFailedError): void => undefined;
  const failed = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });
  const workers = Array.from(
    { length: count },
    (_, at): Worker => ({ index: at + 1, child: null, startedMs: 0, deaths: 0, brief: null }),
  );
  const questions = createQuestions(workers);

  const stop = async (): Promise<void> => {
    stopping = true;
    for (const timer of timers) clearTimeout(timer);
    questions.stop();
    await Promise.all(workers.map(ended));
  };

  const onMessage = createReception(workers, questions, () => {
    wereReady = true;
    allReady();
  });

  const startLater = (worker: Worker, waitMs: number): void => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      start(worker);
    }, waitMs);
    timers.add(timer);
  };

  const over = (worker: Worker, code: number | null, signal: NodeJS.Signals | null): void => {
    worker.child = null;
    worker.brief = null;
    if (stopping) return;
    // Of a service that runs, one worker that finds its configuration changed must not end the others.
    if (code === hopelessCode && !wereReady) {
      const error = new WorkersFailedError(`Worker ${worker.index} cannot start; its own lines of the log say why.`);
      void stop().then(() => fail(error));
      return;
    }
    if (performance.now() - worker.startedMs > STABLE_MS) worker.deaths = 0;
    const restartMs = Math.min(RESTART_CAP_MS, RESTART_MS * 2 ** worker.deaths++);
    log.error('worker_died', { worker: worker.index, code, signal, restartMs });
    startLater(worker, restartMs);
  };

  const start = (worker: Worker): void => {
    const child = fork(script, ['--worker', String(worker.index)], { env: { ...environment } });
    worker.child = child;
    worker.startedMs = performance.now();
    child.on('message', (raw) => onMessage(worker, raw));
    // Once for each way to end: a process that could not be started has no 'exit'.
    child.once('exit', (code, signal) => over(worker, code, signal));
    child.on('error', (error) => {
      log.error('worker_failed', { worker: worker.index, error: error.message });
      if (child.pid === undefined) over(worker, null, null);
    });
    log.info('worker_started', { worker: worker.index, workerPid: child.pid });
  };
  for (const worker of workers) start(worker);

  return { ready, failed, stop };
}
