import { STATUS_CODES } from 'node:http';
import type { HttpRequest, HttpResponse } from '../network/network.ts';
import { type Address, visitorOf } from './address.ts';
import type { Answer } from './answer.ts';
import { type BodyBudget, type BodyLimits, type BodyReading, readBody } from './body.ts';
import { type Peer, peerOf } from './peer.ts';
import { headOf, isAmbiguous, type RequestHead } from './request.ts';

/** One request, copied out of uWebSockets.js, as routes see it. */
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
  readonly head: RequestHead;
  /** Writes the answer, unless the client is gone or was answered. */
  write(answer: Answer, extra: Readonly<Record<string, string>>): void;
  /** After this, a call of `body()` is a programming error: the first bytes may be lost. */
  seal(): void;
}

type HeaderList = readonly (readonly [string, string])[];

/** What one exchange shares with all others. */
export interface ExchangeLimits extends BodyLimits {
  /** Whether this visitor may have one more answer without a body now. */
  spareBodiless(key: string): boolean;
  isTrustedProxy(address: Address): boolean;
}

const UNSAFE = /[\r\n\0]/;

let sequence = 0;
const INSTANCE = Math.random().toString(36).slice(2, 6);

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
 * Takes a request over from uWebSockets.js. Registers `onAborted` before anything else: a route that returns without
 * an answer and without it ends the process, without an exception.
 */
export function openExchange(
  res: HttpResponse,
  req: HttpRequest,
  paramCount: number,
  limits: ExchangeLimits,
  budget: BodyBudget,
): OpenExchange {
  let done = false;
  let sealed = false;
  let left = false;
  let reading: BodyReading | null = null;
  let wholeBody = false;
  res.onAborted(() => {
    done = true;
    left = true;
    reading?.abort();
  });
  const head = headOf(req);
  const params = Array.from({ length: paramCount }, (_, index) => decoded(req.getParameter(index)));
  const peer = peerOf(res.getRemoteAddress());
  const forwardedFor = head.headers.get('x-forwarded-for') ?? '';
  const visitor = visitorOf(peer.address, forwardedFor, limits.isTrustedProxy);
  sequence += 1;
  const id = `${INSTANCE}-${sequence.toString(36)}`;
  const contentLength = head.headers.get('content-length');
  const mayHaveBody = contentLength !== undefined ? Number(contentLength) > 0 : head.headers.has('transfer-encoding');

  /** A body that nobody reads is swallowed by uWebSockets.js; a long or endless one is not worth waiting for. */
  const leavesBody = (): boolean =>
    mayHaveBody && !wholeBody && !(contentLength !== undefined && Number(contentLength) <= limits.maxBodyBytes);

  const send = (status: number, headers: HeaderList, finish: () => void): void => {
    if (done) return;
    done = true;
    res.cork(() => {
      res.writeStatus(`${status} ${STATUS_CODES[status] ?? 'Unknown'}`);
      for (const [name, value] of headers) res.writeHeader(name, value);
      finish();
    });
  };

  return {
    id,
    head,
    method: head.method,
    path: head.path,
    query: head.query,
    peer,
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
    aborted: () => left,
    seal: () => {
      sealed = true;
    },
    write: (answer, extra) => {
      const headers = Object.entries({ ...extra, ...answer.headers, 'X-Request-Id': id });
      const bad = headers.find(([, value]) => UNSAFE.test(value));
      if (bad !== undefined) throw new RangeError(`header ${bad[0]} would break the answer`);
      const body = answer.body instanceof Uint8Array ? answer.body : Buffer.from(answer.body ?? '');
      const close = answer.close === true || leavesBody() || isAmbiguous(head);
      const isHead = head.method === 'HEAD';
      // Whatever came behind this request in the same read must not be answered after an end: uWebSockets.js ends a
      // connection on which a request comes while another waits, but not one that is ended at once.
      const later = (status: number, finish: () => void): void => {
        setImmediate(() => send(status, headers, finish));
      };
      if (isHead || answer.status === 304) {
        if (limits.spareBodiless(visitor.key)) later(answer.status, () => endBodiless(res, body.length, close));
        else if (isHead) later(429, () => res.end('', true));
        else send(200, headers, () => sendPaced(res, body));
      } else if (close || body.length === 0) later(answer.status, () => res.end(body, true));
      else send(answer.status, headers, () => sendPaced(res, body));
    },
  };
}

/**
 * Ends an answer no faster than its client reads. `end` would buffer without a bound for a client that asks on and on
 * and never reads; here the answer stays pending, and uWebSockets.js ends a connection that asks before it is complete.
 */
function sendPaced(res: HttpResponse, body: Uint8Array): void {
  const [sent, complete] = res.tryEnd(body, body.length);
  if (sent || complete) return;
  res.onWritable((offset) => res.tryEnd(body.subarray(offset), body.length)[0]);
}

/**
 * An answer of headers alone gives no sign of a full socket, so that only some per second are given (`spareBodiless`).
 * `endWithoutBody` does not end the connection, whatever its second argument says: the client is asked to.
 */
function endBodiless(res: HttpResponse, length: number, close: boolean): void {
  if (close) res.writeHeader('Connection', 'close');
  res.endWithoutBody(length);
}
