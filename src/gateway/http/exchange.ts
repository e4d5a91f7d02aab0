import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { STATUS_CODES } from 'node:http';
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
  limits: BodyLimits,
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
  sequence += 1;
  const id = `${INSTANCE}-${sequence.toString(36)}`;
  const contentLength = head.headers.get('content-length');
  const mayHaveBody = contentLength !== undefined ? Number(contentLength) > 0 : head.headers.has('transfer-encoding');

  /** A body that nobody reads is swallowed by uWebSockets.js; a long or endless one is not worth waiting for. */
  const leavesBody = (): boolean =>
    mayHaveBody && !wholeBody && !(contentLength !== undefined && Number(contentLength) <= limits.maxBodyBytes);

  const write = (answer: Answer, extra: Readonly<Record<string, string>>): void => {
    if (done) return;
    done = true;
    const close = answer.close === true || leavesBody();
    const headers = Object.entries({ ...extra, ...answer.headers, 'X-Request-Id': id });
    const bad = headers.find(([, value]) => UNSAFE.test(value));
    if (bad !== undefined) throw new RangeError(`header ${bad[0]} would break the answer`);
    res.cork(() => {
      res.writeStatus(`${answer.status} ${STATUS_CODES[answer.status] ?? 'Unknown'}`);
      for (const [name, value] of headers) res.writeHeader(name, value);
      if (answer.status === 204 || answer.status === 304) endBodiless(res, close);
      else if (answer.body === undefined) res.endWithoutBody(0, close);
      else if (head.method === 'HEAD') res.endWithoutBody(Buffer.byteLength(answer.body), close);
      else res.end(answer.body, close);
    });
  };

  return {
    id,
    head,
    method: head.method,
    path: head.path,
    query: head.query,
    peer,
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
      if (!isAmbiguous(head)) {
        write(answer, extra);
        return;
      }
      // Whatever follows the doubtful body in the same read must not be answered as a request of its own:
      // uWebSockets.js ends a connection on which a second request comes before the first answer.
      setImmediate(() => write({ ...answer, close: true }, extra));
    },
  };
}

/**
 * 204 and 304 carry no Content-Length (RFC 9110, 8.6). uWebSockets.js takes any first argument, also undefined, for a
 * length (it then says 2^63), so that its second, which ends the connection, is out of reach: the client is asked to.
 */
function endBodiless(res: HttpResponse, close: boolean): void {
  if (close) res.writeHeader('Connection', 'close');
  res.endWithoutBody();
}
