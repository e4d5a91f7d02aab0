import { z } from 'zod';
import { type Problem, ProtocolError } from './errors.ts';

export const requestId = z.union([z.number().int(), z.string().max(64)]);

/**
 * A position as a client sends it: any string. Whether it is one, and whether it can be served, is decided when the
 * topic is taken up, since a forged position gets a snapshot and a reason, not an error. Frames are 4 KB at most.
 */
const positionText = z.string();

const history = z.number().int().min(0).max(200);

const topicRequest = z.union([
  z.string().min(1).max(200),
  z.object({
    topic: z.string().min(1).max(200),
    after: positionText.optional(),
    history: history.optional(),
    /** The epoch that `after` belongs to, where it differs from the frame's. */
    epoch: z.string().max(200).optional(),
    /** How many tables the client has of a name; where it means others by now, each begins with a snapshot. */
    tables: z.number().int().min(0).optional(),
    /** True when a `reset` for this topic was not followed by its snapshot yet. */
    owed: z.boolean().optional(),
  }),
]);

export const subscribeFrame = z.object({
  type: z.literal('subscribe'),
  id: requestId,
  topics: z.array(topicRequest).min(1).max(200),
  after: positionText.optional(),
  history: history.optional(),
  epoch: z.string().max(200).optional(),
  seen: positionText.optional(),
});

export const clientFrame = z.discriminatedUnion('type', [
  subscribeFrame,
  z.object({
    type: z.literal('unsubscribe'),
    id: requestId,
    topics: z.array(z.string().min(1).max(200)).min(1).max(200),
  }),
  z.object({ type: z.literal('ping'), id: requestId.optional() }),
  z.object({ type: z.literal('auth'), id: requestId.optional(), token: z.string().min(1).max(8192) }),
]);

/** What a client may send. Unknown fields are ignored, unknown types are an error. */
export type ClientFrame = z.infer<typeof clientFrame>;
export type SubscribeFrame = z.infer<typeof subscribeFrame>;

/** Every problem of a zod error, by path. */
export function problemsOf(error: z.ZodError): Problem[] {
  return error.issues.map((issue) => ({ path: issue.path.map(String).join('.'), message: issue.message }));
}

const FRAME_TYPES: ReadonlySet<unknown> = new Set(['subscribe', 'unsubscribe', 'ping', 'auth']);

/** Reads one client frame. Throws ProtocolError `bad_json`, `unknown_type` or `invalid` with every problem by path. */
export function parseClientFrame(text: string): ClientFrame {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ProtocolError('bad_json', { cause });
  }
  const type = typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined;
  if (typeof type === 'string' && !FRAME_TYPES.has(type)) throw new ProtocolError('unknown_type');
  const parsed = clientFrame.safeParse(value);
  if (!parsed.success) throw new ProtocolError('invalid', { problems: problemsOf(parsed.error), cause: parsed.error });
  return parsed.data;
}
