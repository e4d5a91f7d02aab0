import { z } from 'zod';

/** What a worker tells about itself; `/status` shows it for all of them. */
export const workerBrief = z.object({
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
export type FromWorker = z.infer<typeof fromWorker>;

/** To a worker. */
export const toWorker = z.discriminatedUnion('type', [
  z.object({ type: z.literal('briefs'), briefs: z.array(workerBrief) }),
  z.object({ type: z.literal('question'), id: z.string(), question: workerQuestion }),
  z.object({ type: z.literal('answers'), id: z.number(), answers: z.array(workerAnswer) }),
]);
export type ToWorker = z.infer<typeof toWorker>;
