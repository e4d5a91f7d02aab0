import type { HttpRequest, HttpResponse } from '../network/network.ts';
import type { Address } from './address.ts';
import type { Answer } from './answer.ts';
import type { Arrival } from './arrival.ts';
import { type BodyBudget, type BodyLimits, type BodyReading, readBody } from './body.ts';
import type { Peer } from './peer.ts';
import { isAmbiguous } from './request.ts';
import { openWriter } from './writer.ts';

/** One request as routes see it. */
export interface Exchange {
  /** Names this request in answers and logs. */
  readonly id: string;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly peer: Peer;
  /** Whom limits count: the peer, or whom a trusted proxy names. */
  readonly visitor: Address;
  readonly headers: ReadonlyMap<string, string>;
  /** Lower-case name; empty when absent. */
  header(name: string): string;
  /** The decoded part of the path that the pattern's nth `:name` stands for. */
  readonly params: readonly string[];
  /** Reads the body once; must be called before the route's first await. See readBody for what it rejects with. */
  body(): Promise<Uint8Array>;
  /** True once the client is gone; nobody will see the answer. */
  aborted(): boolean;
}

/** The side of the exchange that only the router uses. */
export interface OpenExchange extends Exchange {
  /**
   * Writes the answer with the headers of every answer, unless the client is gone or was answered. `failed` hears why an
   * answer in portions was cut.
   */
  write(answer: Answer, failed: (cause: unknown) => void): void;
  /** After this, a call of `body()` is a programming error: the first bytes may be lost. */
  seal(): void;
}

/** What one exchange shares with all others. */
export interface ExchangeLimits extends BodyLimits {
  /** Whether this visitor may have one more answer without a body now. */
  spareBodiless(key: string): boolean;
}

/** `%` that begins no escape leaves the text as it is: it is then an unknown name, not a crash. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) return part;
    throw error;
  }
}

/**
 * Takes a request over from the network. Registers `onAborted` before anything else: a route that returns without an
 * answer and without it ends the process, without an exception.
 */
export function openExchange(
  res: HttpResponse,
  req: HttpRequest,
  arrival: Arrival,
  paramCount: number,
  limits: ExchangeLimits,
  budget: BodyBudget,
): OpenExchange {
  const { head, visitor } = arrival;
  let sealed = false;
  let reading: BodyReading | null = null;
  let wholeBody = false;
  const writer = openWriter(res, arrival, () => reading?.abort());
  const params = Array.from({ length: paramCount }, (_, index) => decoded(req.getParameter(index)));
  const contentLength = head.headers.get('content-length');
  const mayHaveBody = contentLength !== undefined ? Number(contentLength) > 0 : head.headers.has('transfer-encoding');

  /** A body that nobody reads is swallowed by the network; a long or endless one is not worth waiting for. */
  const leavesBody = (): boolean =>
    mayHaveBody && !wholeBody && !(contentLength !== undefined && Number(contentLength) <= limits.maxBodyBytes);

  return {
    id: arrival.id,
    method: head.method,
    path: head.path,
    query: head.query,
    peer: arrival.peer,
    visitor,
    headers: head.headers,
    params,
    header: (name) => head.headers.get(name) ?? '',
    body: () => {
      if (sealed || reading !== null) throw new Error('the body is read once, before the first await');
      reading = readBody(res, contentLength, limits, budget);
      return reading.bytes.then((bytes) => {
        wholeBody = true;
        return bytes;
      });
    },
    aborted: writer.gone,
    seal: () => {
      sealed = true;
    },
    write: ({ rest, ...answer }, failed) => {
      const whole = { ...answer, headers: { ...arrival.answerHeaders, ...answer.headers } };
      const close = answer.close === true || arrival.socket.last || leavesBody() || isAmbiguous(head);
      if (rest !== undefined && head.method !== 'HEAD') writer.inPortions(whole, rest, close, failed);
      else if (head.method !== 'HEAD' && answer.status !== 304) writer.whole(whole, close);
      else if (limits.spareBodiless(visitor.key)) writer.bodiless(whole, close);
      else if (head.method === 'HEAD') writer.whole({ ...whole, status: 429, body: '' }, true);
      else writer.whole({ ...whole, status: 200 }, close);
      if (head.method === 'HEAD') void rest?.return(undefined);
      if (head.headers.get('connection')?.toLowerCase() === 'close') arrival.socket.ended();
    },
  };
}
