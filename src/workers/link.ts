import { z } from 'zod';
import type { Log } from '../log/log.ts';

/** What a worker tells about itself; `/status` shows it for all of them. */
const workerBrief = z.object({
  worker: z.number().int(),
  pid: z.number().int(),
  ready: z.boolean(),
  position: z.string().nullable(),
  connections: z.number().int(),
});
export type WorkerBrief = z.infer<typeof workerBrief>;

/** What one worker asks all of them, itself included. */
const workerQuestion = z.discriminatedUnion('about', [
  /** Answered in Prometheus' text format. */
  z.object({ about: z.literal('metrics') }),
  /** Samples of the last so many minutes and the last alerts; answered in JSON. */
  z.object({ about: z.literal('history'), minutes: z.number().int() }),
  /** A page of the open connections; answered in JSON. */
  z.object({
    about: z.literal('clients'),
    subject: z.string().nullable(),
    after: z.number().int(),
    limit: z.number().int(),
  }),
  /** Closes the connections of a subject that were opened up to a time; answered with how many they were. */
  z.object({ about: z.literal('removal'), subject: z.string(), atMs: z.number() }),
]);
export type WorkerQuestion = z.infer<typeof workerQuestion>;

/** What one worker answered. */
const workerAnswer = z.object({ worker: z.string(), text: z.string() });
export type WorkerAnswer = z.infer<typeof workerAnswer>;

/** From a worker to the process that started it. */
export const fromWorker = z.discriminatedUnion('type', [
  z.object({ type: z.literal('brief'), brief: workerBrief }),
  z.object({ type: z.literal('ask'), id: z.number(), question: workerQuestion }),
  z.object({ type: z.literal('answer'), id: z.string(), text: z.string() }),
]);
type FromWorker = z.infer<typeof fromWorker>;

/** To a worker. */
const toWorker = z.discriminatedUnion('type', [
  z.object({ type: z.literal('briefs'), briefs: z.array(workerBrief) }),
  z.object({ type: z.literal('question'), id: z.string(), question: workerQuestion }),
  z.object({ type: z.literal('answers'), id: z.number(), answers: z.array(workerAnswer) }),
]);
export type ToWorker = z.infer<typeof toWorker>;

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
