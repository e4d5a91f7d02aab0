import type { Log } from '../log/log.ts';
import { type FromWorker, toWorker, type WorkerAnswer, type WorkerBrief, type WorkerQuestion } from './messages.ts';

/** A worker's line to the process that started it, and through it to its siblings. */
export interface WorkerLink {
  /** What every worker said of itself last. */
  briefs(): readonly WorkerBrief[];
  /** The answers of all workers that give one within two seconds; rejects when the line is cut. */
  ask(question: WorkerQuestion): Promise<readonly WorkerAnswer[]>;
  stop(): void;
}

const BRIEF_MS = 2_000;
const ANSWER_MS = 3_000;

/** Opens the line; `brief` and `answer` are asked for this worker's own part. An answer that fails is left out and logged. */
export function openWorkerLink(
  brief: () => WorkerBrief,
  answer: (question: WorkerQuestion) => Promise<string>,
  log: Log,
): WorkerLink {
  let briefs: readonly WorkerBrief[] = [];
  let asked = 0;
  const waiting = new Map<number, (answers: readonly WorkerAnswer[]) => void>();
  const send = (message: FromWorker): void => {
    // The line is cut when the parent is gone; then this process is about to end too. With a callback a failure is an
    // answer, and not an 'error' event that would end this process before it has drained.
    if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
  };
  const onMessage = (raw: unknown): void => {
    const parsed = toWorker.safeParse(raw);
    if (!parsed.success) return;
    const message = parsed.data;
    switch (message.type) {
      case 'briefs':
        briefs = message.briefs;
        return;
      case 'question':
        answer(message.question).then(
          (text) => send({ type: 'answer', id: message.id, text }),
          (error: unknown) => log.error('worker_unanswered', { about: message.question.about, err: error }),
        );
        return;
      case 'answers':
        waiting.get(message.id)?.(message.answers);
        waiting.delete(message.id);
        return;
      default:
        message satisfies never;
    }
  };
  process.on('message', onMessage);
  const timer = setInterval(() => send({ type: 'brief', brief: brief() }), BRIEF_MS);
  timer.unref();
  return {
    briefs: () => briefs,
    ask: (question) =>
      new Promise((resolve, reject) => {
        const id = ++asked;
        const late = setTimeout(() => {
          waiting.delete(id);
          reject(new Error('the other workers did not answer'));
        }, ANSWER_MS);
        waiting.set(id, (answers) => {
          clearTimeout(late);
          resolve(answers);
        });
        send({ type: 'ask', id, question });
      }),
    stop() {
      clearInterval(timer);
      process.off('message', onMessage);
    },
  };
}
