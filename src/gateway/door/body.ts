import { ProtocolError } from '../../protocol/errors.ts';
import type { HttpResponse } from '../network/network.ts';

/** The body did not come in time; the connection is to end. */
export class BodyTimeout extends Error {
  override readonly name = 'BodyTimeout';
}

export interface BodyLimits {
  readonly maxBodyBytes: number;
  readonly bodyWaitMs: number;
}

/** Bytes of bodies under way, shared by all requests, so that many allowed bodies cannot fill the memory. */
export interface BodyBudget {
  /** False when there is no room. */
  take(bytes: number): boolean;
  give(bytes: number): void;
}

export function bodyBudget(maxBytes: number): BodyBudget {
  let used = 0;
  return {
    take: (bytes) => {
      if (used + bytes > maxBytes) return false;
      used += bytes;
      return true;
    },
    give: (bytes) => {
      used -= bytes;
    },
  };
}

export interface BodyReading {
  readonly bytes: Promise<Uint8Array>;
  /** The client is gone: nothing will come any more. */
  abort(): void;
}

/**
 * Reads a body while it arrives. Must be called before the first await of its request. Rejects with `body_too_large` as
 * soon as the declared or received length passes the limit, with `overloaded` when all bodies together pass theirs, and
 * with BodyTimeout. What comes after a rejection is thrown away unread.
 */
export function readBody(
  res: HttpResponse,
  contentLength: string | undefined,
  limits: BodyLimits,
  budget: BodyBudget,
): BodyReading {
  const chunks: Buffer[] = [];
  let received = 0;
  let settled = false;
  let abort = (): void => undefined;
  const bytes = new Promise<Uint8Array>((resolve, reject) => {
    const settle = (finish: () => void): void => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      budget.give(received);
      finish();
    };
    const timer = setTimeout(
      () => settle(() => reject(new BodyTimeout('the body came too slowly'))),
      limits.bodyWaitMs,
    );
    abort = () => settle(() => reject(new BodyTimeout('the client left')));
    res.onData((chunk, isLast) => {
      if (settled) return;
      if (received + chunk.byteLength > limits.maxBodyBytes) {
        settle(() => reject(new ProtocolError('body_too_large')));
        return;
      }
      if (!budget.take(chunk.byteLength)) {
        settle(() => reject(new ProtocolError('overloaded', { retryMs: 1000 })));
        return;
      }
      received += chunk.byteLength;
      // uWebSockets.js takes the chunk's memory back when this returns.
      chunks.push(Buffer.from(new Uint8Array(chunk)));
      if (isLast) settle(() => resolve(Buffer.concat(chunks)));
    });
    if (contentLength !== undefined && Number(contentLength) > limits.maxBodyBytes) {
      settle(() => reject(new ProtocolError('body_too_large')));
    }
  });
  return { bytes, abort: () => abort() };
}
