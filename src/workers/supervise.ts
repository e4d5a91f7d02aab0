import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Log } from '../log/log.ts';
import { type Kept, type KeptOptions, keepRunning } from './kept.ts';
import { fromWorker, type ToWorker, type WorkerAnswer, type WorkerBrief, type WorkerQuestion } from './link.ts';

interface WorkersOptions {
  readonly count: number;
  /** The program: `--reader --stream <path>` for the one that reads MongoDB, `--worker N --stream <path>` for a worker. */
  readonly script: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The exit code of a process that it would be useless to start again. */
  readonly hopelessCode: number;
  readonly log: Log;
}

/** A worker or the reader cannot start, as its own log says, and none runs any more. */
export class WorkersFailedError extends Error {
  override readonly name = 'WorkersFailedError';
}

export interface Workers {
  /** Resolves when every worker has served subscribers. */
  readonly ready: Promise<void>;
  /** Rejects with WorkersFailedError when a process says, before all were ready, that it can never start. */
  readonly failed: Promise<never>;
  /** Asks every worker to end, waits for them, and starts none again; the reader ends last. */
  stop(): Promise<void>;
}

const ANSWER_MS = 2_000;
/** A reader that does not end by itself is ended: nothing in it is worth waiting for. */
const READER_END_MS = 3_000;

interface Worker {
  readonly index: number;
  readonly process: Kept;
  brief: WorkerBrief | null;
}

const send = ({ process }: Worker, message: ToWorker): void => process.send(message);

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
      const reachable = workers.filter(({ process }) => process.connected);
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

/** Takes what workers send. One that says how it does hears how all do. `allReady` is told each time it is so. */
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
        send(worker, { type: 'briefs', briefs });
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

/** Where the reader listens; `remove` takes away what it leaves behind. */
function streamPath(): { readonly path: string; remove(): void } {
  if (process.platform === 'win32') {
    return { path: `\\\\.\\pipe\\runcash-live-${process.pid}`, remove: () => undefined };
  }
  const folder = mkdtempSync(join(tmpdir(), 'runcash-live-'));
  return { path: join(folder, 'stream'), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

/** The reader does not listen to signals, which a group is sent all at once: workers that say good-bye still need it. */
function endReader(child: ChildProcess): void {
  const late = setTimeout(() => child.kill('SIGKILL'), READER_END_MS);
  child.once('exit', () => clearTimeout(late));
  child.disconnect();
}

/**
 * Starts one process that reads MongoDB, and workers that share one port (SO_REUSEPORT) and are given by it what they
 * serve. Whichever dies is started again: workers go on without the reader, and the reader without any worker.
 */
export function startWorkers({ count, script, environment, hopelessCode, log }: WorkersOptions): Workers {
  const stream = streamPath();
  let wereReady = false;
  const workers: Worker[] = [];
  const questions = createQuestions(workers);
  let allReady = (): void => undefined;
  const ready = new Promise<void>((resolve) => {
    allReady = resolve;
  });
  let fail = (_error: WorkersFailedError): void => undefined;
  const failed = new Promise<never>((_resolve, reject) => {
    fail = reject;
  });

  const onMessage = createReception(workers, questions, () => {
    wereReady = true;
    allReady();
  });

  const keep = (
    who: string,
    args: readonly string[],
    hears: Omit<KeptOptions, 'script' | 'args' | 'environment' | 'isOver'>,
  ) =>
    keepRunning({
      script,
      args: [...args, '--stream', stream.path],
      environment,
      ...hears,
      isOver(code) {
        // Of a service that runs, one process that finds its configuration changed must not end the others.
        if (code !== hopelessCode || wereReady) return false;
        void stop().then(() => fail(new WorkersFailedError(`${who} cannot start; its own lines of the log say why.`)));
        return true;
      },
    });

  const reader = keep('The reader', ['--reader'], {
    said: () => undefined,
    started: (readerPid) => log.info('reader_started', { readerPid }),
    failed: (error) => log.error('reader_failed', { error: error.message }),
    died: (end) => log.error('reader_died', end),
  });

  const startWorker = (index: number): Worker => {
    const worker: Worker = {
      index,
      brief: null,
      process: keep(`Worker ${index}`, ['--worker', String(index)], {
        said: (raw) => onMessage(worker, raw),
        started: (workerPid) => log.info('worker_started', { worker: index, workerPid }),
        failed: (error) => log.error('worker_failed', { worker: index, error: error.message }),
        died(end) {
          worker.brief = null;
          log.error('worker_died', { worker: index, ...end });
        },
      }),
    };
    return worker;
  };

  const stop = async (): Promise<void> => {
    questions.stop();
    await Promise.all(workers.map(({ process }) => process.stop((child) => void child.kill('SIGTERM'))));
    await reader.stop(endReader);
    stream.remove();
  };
  for (let index = 1; index <= count; index++) workers.push(startWorker(index));

  return { ready, failed, stop };
}
