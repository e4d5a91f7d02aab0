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

/** The metrics of one worker, in Prometheus' text format. */
const metricsPart = z.object({ worker: z.string(), text: z.string() });
export type MetricsPart = z.infer<typeof metricsPart>;

/** From a worker to the process that started it. */
export const fromWorker = z.discriminatedUnion('type', [
  z.object({ type: z.literal('brief'), brief: workerBrief }),
  z.object({ type: z.literal('ask_metrics'), id: z.number() }),
  z.object({ type: z.literal('metrics'), id: z.string(), text: z.string() }),
]);
export type FromWorker = z.infer<typeof fromWorker>;

/** To a worker. */
export const toWorker = z.discriminatedUnion('type', [
  z.object({ type: z.literal('briefs'), briefs: z.array(workerBrief) }),
  z.object({ type: z.literal('tell_metrics'), id: z.string() }),
  z.object({ type: z.literal('all_metrics'), id: z.number(), parts: z.array(metricsPart) }),
]);
export type ToWorker = z.infer<typeof toWorker>;
