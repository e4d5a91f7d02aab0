import { z } from 'zod';
import { DIALECTS } from './dialects.ts';

/** What the bench tells a process of subscribers. */
export const order = z.discriminatedUnion('order', [
  z.object({
    order: z.literal('connect'),
    dialect: z.enum(DIALECTS),
    host: z.string(),
    port: z.number(),
    clients: z.number(),
    topics: z.array(z.string()),
    after: z.string().nullable(),
    epoch: z.string().nullable(),
    /** Last part of the loopback address to come from. */
    from: z.number(),
    /** How many may be on their way at once. */
    atOnce: z.number(),
    /** Spins that are awaited from the connect on; null awaits none. */
    awaited: z.object({ first: z.number(), count: z.number() }).nullable(),
  }),
  /** From now on the spins `first` to `first + count - 1` are awaited; everything counted before is forgotten. */
  z.object({
    order: z.literal('expect'),
    first: z.number(),
    count: z.number(),
    /** Whether the moment of every delivery is wanted, not only the last of each spin. */
    keepTimes: z.boolean(),
  }),
  /** The first clients stop reading; nothing is awaited of them any more. */
  z.object({ order: z.literal('stall'), clients: z.number() }),
  z.object({ order: z.literal('collect') }),
  /** All sockets are cut, or are lost when the server goes; each client comes back as the client library does. */
  z.object({ order: z.literal('comeBack'), cut: z.boolean(), port: z.number() }),
]);
export type Order = z.infer<typeof order>;

const stamps = z.custom<Float64Array>((value) => value instanceof Float64Array);

/** What a process of subscribers tells the bench. */
export const report = z.discriminatedUnion('report', [
  z.object({ report: z.literal('started') }),
  z.object({
    report: z.literal('connected'),
    clients: z.number(),
    failed: z.number(),
    /** From the first connect to the last subscribed, and of each client, in microseconds. */
    tookUs: z.number(),
    histogram: z.string(),
  }),
  z.object({ report: z.literal('expecting') }),
  /** Every client that reads has every awaited spin. */
  z.object({ report: z.literal('complete') }),
  z.object({
    report: z.literal('collected'),
    /** From the intended moment to the delivery. */
    histogram: z.string(),
    delivered: z.number(),
    lost: z.number(),
    repeated: z.number(),
    /** Came after a later one. */
    disordered: z.number(),
    /** Frames with an event, also ones that were not awaited; frames without; bytes of payload of all. */
    events: z.number(),
    notices: z.number(),
    bytes: z.number(),
    /** Connections that ended. */
    closed: z.number(),
    stalledClosed: z.number(),
    /** Per spin, the moment at which the last client had it. */
    lastUs: stamps,
    /** Per client and spin, when it was kept. */
    times: stamps,
  }),
  z.object({
    report: z.literal('back'),
    clients: z.number(),
    tookUs: z.number(),
    attempts: z.number(),
    /** Attempts to connect in each tenth of a second after the order, by the moment on the common clock. */
    startedUs: z.number(),
    perTenth: z.array(z.number()),
    recovered: z.number(),
  }),
]);
export type Report = z.infer<typeof report>;

/** What `neighbours` is asked: to measure for this long. */
export const neighboursOrder = z.object({ ms: z.number() });

/** What it answers: percentiles by name, and how much was refused or cut. */
export const neighboursReport = z.object({ figures: z.record(z.string(), z.number()), failed: z.number() });
export type NeighboursReport = z.infer<typeof neighboursReport>;
