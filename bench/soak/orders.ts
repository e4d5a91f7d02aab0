import { z } from 'zod';

/** What the clients saw until now. Any `gaps` or `repeated` is a defect of the service. */
export const tally = z.object({
  open: z.number(),
  opened: z.number(),
  refused: z.number(),
  /** Ended by the other side. */
  lost: z.number(),
  events: z.number(),
  gaps: z.number(),
  repeated: z.number(),
  /** Topics that were resumed, and those of them that got a snapshot instead of a replay. */
  resumed: z.number(),
  unrecovered: z.number(),
});
export type Tally = z.infer<typeof tally>;

/** From the clients' process: connected for the first time, or an answer to `tell`. */
export const crowdReport = z.discriminatedUnion('report', [
  z.object({ report: z.literal('gathered') }),
  z.object({ report: z.literal('tally'), tally }),
]);

/** To the clients' process. */
export const crowdOrder = z.discriminatedUnion('order', [
  z.object({ order: z.literal('gather'), port: z.number(), clients: z.number(), seed: z.number() }),
  z.object({ order: z.literal('tell') }),
]);
