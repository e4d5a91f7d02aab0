import { ProtocolError } from '../../protocol/errors.ts';
import type { HttpRequest, HttpResponse } from '../network/network.ts';
import type { Address, Peer } from './address.ts';
import { type Answer, openWriter } from './answer.ts';
import { type Arrival, isAmbiguous } from './arrival.ts';

/** The body did not come in time; the connection is to end. */
export class BodyTimeout extends Error {
  override readonly name = 'BodyTimeout';
}

interface BodyLimits {
  readonly maxBodyBytes: number;
  readonly bodyWaitMs: number;
}

/** Bytes of bodies under way, shared by all requests, so that many allowed bodies cannot fill the memory. */
interface BodyBudget {
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

interface BodyReading {
  readonly bytes: Promise<Uint8Array>;
  /** The client is gone: nothing will come any more. */
  abort(): void;
}

/**
 * Reads a body while it arrives. Must be called before the first await of its request. Rejects with `body_too_large` as
 * soon as the declared or received length passes the limit, with `overloaded` when all bodies together pass theirs, and
 * with BodyTimeout. What comes after a rejection is thrown away unread.
 */
function readBody(
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
interface ExchangeLimits extends BodyLimits {
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
    write: (answer, failed) => {
      const { rest } = answer;
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

/** Deeper than anything that is asked for here; a deep value costs every recursive reader behind this door. */
const MAX_DEPTH = 8;

const JSON_TYPE = /^application\/(?:json|[\w.+-]+\+json)$/;

/** Throws `unsupported_media_type` unless the body says that it is plain JSON in UTF-8. */
function checkJsonType(exchange: Exchange): void {
  const [type = '', ...parameters] = exchange
    .header('content-type')
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
  const charset = parameters.find((parameter) => parameter.startsWith('charset='))?.slice('charset='.length);
  const isUtf8 = charset === undefined || /^"?utf-?8"?$/.test(charset) || /^"?us-ascii"?$/.test(charset);
  const coding = exchange.header('content-encoding').toLowerCase();
  if (!JSON_TYPE.test(type) || !isUtf8 || (coding !== '' && coding !== 'identity')) {
    throw new ProtocolError('unsupported_media_type');
  }
}

/** Whether brackets nest deeper than MAX_DEPTH outside of strings; decided before anything is built. */
function isDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (inString) {
      if (character === 0x5c) at += 1;
      else if (character === 0x22) inString = false;
    } else if (character === 0x22) inString = true;
    else if (character === 0x5b || character === 0x7b) {
      depth += 1;
      if (depth > MAX_DEPTH) return true;
    } else if (character === 0x5d || character === 0x7d) depth -= 1;
  }
  return false;
}

/** The path of a key named `__proto__`, which only an attack sends; null when there is none. */
function protoPath(value: unknown, path: string): string | null {
  if (typeof value !== 'object' || value === null) return null;
  for (const [key, inner] of Object.entries(value)) {
    const here = path === '' ? key : `${path}.${key}`;
    if (key === '__proto__') return here;
    const found = protoPath(inner, here);
    if (found !== null) return found;
  }
  return null;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/** The reader of a request's body, once its headers say that it is JSON. Throws `unsupported_media_type` at once. */
export function jsonBodyOf(exchange: Exchange): (bytes: Uint8Array) => unknown {
  checkJsonType(exchange);
  return parseJsonBody;
}

/** Reads JSON from outside. Throws `bad_json`, or `invalid` for a nesting or a key that no caller needs. */
export function parseJsonBody(bytes: Uint8Array): unknown {
  let value: unknown;
  try {
    const text = utf8.decode(bytes);
    if (isDeep(text)) {
      throw new ProtocolError('invalid', {
        problems: [{ path: '', message: `nests deeper than ${MAX_DEPTH} levels` }],
      });
    }
    value = JSON.parse(text);
  } catch (cause) {
    if (cause instanceof ProtocolError) throw cause;
    throw new ProtocolError('bad_json', { cause });
  }
  const path = protoPath(value, '');
  if (path !== null) throw new ProtocolError('invalid', { problems: [{ path, message: 'no field has this name' }] });
  return value;
}
