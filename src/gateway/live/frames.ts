import { z } from 'zod';
import type { FeedPosition } from '../../protocol/delivery.ts';
import { CLOSES, type CloseCode, ERRORS, type ErrorCode, ProtocolError } from '../../protocol/errors.ts';
import { type ErrorMessage, type Frame, frameOf, PROTOCOL_VERSION, type RequestId } from '../../protocol/messages.ts';
import type { ClientFrame, SubscribeFrame } from '../../protocol/requests.ts';
import type { GatewayOptions } from '../options.ts';

/** Problems that one error frame lists; a frame full of nonsense is not answered with a longer one. */
const MAX_PROBLEMS = 20;

/** The frame that answers a request with an error. */
export function errorFrame(error: ProtocolError, id: RequestId | undefined): Frame {
  const message: ErrorMessage = {
    type: 'error',
    ...(id === undefined ? {} : { id }),
    code: error.code,
    message: error.message,
    retry: ERRORS[error.code].retry,
    ...(error.retryMs === undefined ? {} : { retry_ms: error.retryMs }),
    ...(error.problems.length === 0 ? {} : { problems: error.problems.slice(0, MAX_PROBLEMS) }),
  };
  return frameOf(message);
}

/** The first frame of a connection; `reached` is the feed's. */
export function helloFrame(options: GatewayOptions, reached: FeedPosition): Frame {
  return frameOf({
    type: 'hello',
    protocol: PROTOCOL_VERSION,
    server: options.version,
    instance: options.instance,
    epoch: reached.epoch,
    position: reached.position,
    ping_s: options.pingSeconds,
    recovery_s: reached.recoverySeconds,
    auth: options.auth.mode,
    limits: { topics: options.maxTopics, frame_bytes: options.maxFrameBytes },
  });
}

/** The last frame before a close that the client may come back from. */
export const byeFrame = (code: CloseCode, retryMs: number): Frame =>
  frameOf({ type: 'bye', code, reason: CLOSES[code].text, retry_ms: retryMs });

const isErrorCode = (code: unknown): code is ErrorCode => typeof code === 'string' && Object.hasOwn(ERRORS, code);

const encodedError = z.object({
  code: z.custom<ErrorCode>(isErrorCode),
  message: z.string(),
  retry_ms: z.number().optional(),
  problems: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

/** The error of an encoded error frame, for an answer that has a status of its own. Throws ZodError for another frame. */
export function errorOf(frame: Frame): ProtocolError {
  const { code, message, retry_ms: retryMs, problems } = encodedError.parse(JSON.parse(frame.text));
  return new ProtocolError(code, {
    message,
    ...(problems === undefined ? {} : { problems }),
    ...(retryMs === undefined ? {} : { retryMs }),
  });
}

/** The `id` of a frame that could not be read, so that its error can still be matched; undefined when there is none. */
export function requestIdOf(text: string): RequestId | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Not JSON: the error frame that is being built says exactly that.
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, 'id') || !('id' in value)) return undefined;
  const { id } = value;
  if (typeof id === 'string' && id.length <= 64) return id;
  return typeof id === 'number' && Number.isSafeInteger(id) ? id : undefined;
}

const historyCost = (history: number | undefined): number => Math.max(1, Math.ceil((history ?? 0) / 40));

function subscribeCost(frame: SubscribeFrame): number {
  let cost = 0;
  for (const entry of frame.topics) {
    const topic = typeof entry === 'string' ? entry : entry.topic;
    const history = typeof entry === 'string' ? frame.history : (entry.history ?? frame.history);
    cost += (topic.endsWith(':*') ? 4 : 1 / 8) * historyCost(history);
  }
  return Math.max(historyCost(frame.history), Math.ceil(cost));
}

/**
 * What a frame takes from the connection's bucket. A snapshot costs the server more than a ping, so that subscribing
 * and unsubscribing in a circle runs dry long before pings do; 39 single subscribes in one go still fit the burst.
 */
export function costOf(frame: ClientFrame): number {
  switch (frame.type) {
    case 'subscribe':
      return subscribeCost(frame);
    case 'auth':
      return 2;
    case 'unsubscribe':
    case 'ping':
      return 1;
    default:
      return frame satisfies never;
  }
}
