import { STATUS_CODES } from 'node:http';
import { ERRORS, ProtocolError } from '../../protocol/errors.ts';
import type { HttpResponse } from '../network/network.ts';
import type { RequestSocket } from './sockets.ts';

/** What a route gives back; the exchange writes it. */
export interface Answer {
  readonly status: number;
  /** Of a 304: what the 200 would carry. It is not sent, but its length is named. */
  readonly body?: string | Uint8Array;
  /**
   * What follows a text, sent as its client takes it. It has begun, so that its first error is an answer of its own;
   * whoever does not send it ends it.
   */
  readonly rest?: AsyncGenerator<string, void, undefined>;
  /** Asked before each portion of `rest` is sent; throws when its reader may have no more, and the answer is cut. */
  readonly check?: () => void;
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends the connection after this answer. */
  readonly close?: boolean;
}

type Headers = Readonly<Record<string, string>>;

/** JSON that was encoded before, as text or as bytes. */
export const jsonText = (status: number, body: string | Uint8Array, headers: Headers = {}): Answer => ({
  status,
  body,
  headers: { 'Content-Type': 'application/json; charset=utf-8', ...headers },
});

export const json = (status: number, value: unknown, headers: Headers = {}): Answer =>
  jsonText(status, JSON.stringify(value), headers);

/**
 * What RFC 9110 asks of an error's headers: the scheme of credentials with 401, and `Retry-After` in whole seconds where
 * the request may be repeated; a second when none was named.
 */
export function errorHeaders(error: ProtocolError): Record<string, string> {
  if (ERRORS[error.code].status === 401) return { 'WWW-Authenticate': 'Bearer realm="runcash-live"' };
  if (ERRORS[error.code].retry !== 'after') return {};
  return { 'Retry-After': String(Math.max(1, Math.ceil((error.retryMs ?? 1000) / 1000))) };
}

/** The members of an error, as every JSON answer of version 1 names them. */
export function errorMembers(error: ProtocolError): Record<string, unknown> {
  return {
    code: error.code,
    detail: error.message,
    retry: ERRORS[error.code].retry,
    ...(error.retryMs === undefined ? {} : { retry_ms: error.retryMs }),
    ...(error.problems.length === 0 ? {} : { problems: error.problems }),
  };
}

/** An error as `application/problem+json` (RFC 9457), with the code of the error table. */
export function problem(error: ProtocolError, requestId: string): Answer {
  const { status } = ERRORS[error.code];
  const title = STATUS_CODES[status] ?? 'Error';
  return {
    status,
    body: JSON.stringify({ type: 'about:blank', title, status, ...errorMembers(error), request_id: requestId }),
    headers: {
      'Content-Type': 'application/problem+json',
      ...errorHeaders(error),
    },
  };
}

/** Whatever was thrown, as an error of the table; what is not one becomes `internal`, whose cause stays in the log. */
export const asProtocolError = (error: unknown): ProtocolError =>
  error instanceof ProtocolError ? error : new ProtocolError('internal', { cause: error });

/** The same answer with more headers. */
export const withHeaders = (answer: Answer, headers: Headers): Answer => ({
  ...answer,
  headers: { ...answer.headers, ...headers },
});

type Rest = AsyncGenerator<string, void, undefined>;

const UNSAFE = /[\r\n\0]/;

/** What an answer needs of the request that it is for. */
interface Answered {
  readonly id: string;
  readonly socket: RequestSocket;
  readonly answerHeaders: Readonly<Record<string, string>>;
}

/** Writes one answer, unless the client is gone or was answered. */
export interface Writer {
  /** With its body. Throws RangeError for a header that would break the answer. */
  whole(answer: Answer, close: boolean): void;
  /** With its body and what follows that. An error of the latter cuts the connection, and is told. */
  inPortions(answer: Answer, rest: Rest, close: boolean, failed: (cause: unknown) => void): void;
  /** Headers alone, of a HEAD or a 304; they name the length of a body that is not sent in portions. */
  bodiless(answer: Answer, close: boolean): void;
  /** True once the client is gone; nobody will see the answer. */
  gone(): boolean;
}

/** Takes a response over, in the request's own callback. `left` hears that the client is gone. */
export function openWriter(
  res: HttpResponse,
  { socket }: Pick<Answered, 'socket'>,
  left: () => void = () => undefined,
): Writer {
  let done = false;
  let gone = false;
  let aborted = (): void => undefined;
  res.onAborted(() => {
    done = true;
    gone = true;
    socket.ended();
    aborted();
    left();
  });

  const begin = ({ status, headers = {} }: Answer, finish: () => void): void => {
    const bad = Object.entries(headers).find(([, value]) => UNSAFE.test(value));
    if (bad !== undefined) throw new RangeError(`header ${bad[0]} would break the answer`);
    if (done) return;
    done = true;
    res.cork(() => {
      writeHead(res, status, headers);
      finish();
    });
  };

  // Whatever came behind this request in the same read must not be answered after an end: uWebSockets.js ends a
  // connection on which a request comes while another waits, but not one that is ended at once.
  const later = (answer: Answer, finish: () => void): void => {
    setImmediate(() => begin(answer, finish));
  };

  return {
    whole(answer, close) {
      const body = bytesOf(answer);
      if (close || body.length === 0) {
        later(answer, () => {
          res.end(body, true);
          socket.ended();
        });
      } else begin(answer, () => sendPaced(res, body));
    },
    inPortions(answer, rest, close, failed) {
      if (done) {
        void rest.return(undefined);
        return;
      }
      const portions = openPortions(res);
      aborted = portions.over;
      begin(answer, () => portions.send(String(answer.body ?? '')));
      pour(portions, rest, answer.check, () => gone)
        .then(() => {
          if (gone) return;
          res.cork(() => res.end('', close));
          if (close) socket.ended();
        })
        .catch((cause: unknown) => {
          failed(cause);
          // Cut and not ended: a client must not take a part for the whole.
          if (!gone) res.close();
        });
    },
    bodiless(answer, close) {
      // `endWithoutBody` does not end the connection, whatever its second argument says: the client is asked to.
      const headers = close ? { ...answer.headers, Connection: 'close' } : answer.headers;
      later({ ...answer, ...(headers === undefined ? {} : { headers }) }, () =>
        answer.rest === undefined ? res.endWithoutBody(bytesOf(answer).length) : res.endWithoutBody(),
      );
    },
    gone: () => gone,
  };
}

/** How long a client may take nothing of an answer in portions. */
const STALL_MS = 30_000;

/** Text that goes out bit by bit. */
interface Portions {
  send(text: string): void;
  /** Resolves when the client has taken what was sent, or is gone; one that stalls is cut. */
  room(): Promise<void>;
  /** The client is gone: nothing is waited for any more. */
  over(): void;
}

function openPortions(res: HttpResponse): Portions {
  let taken = true;
  let resume = (): void => undefined;
  const goOn = (): void => {
    taken = true;
    resume();
  };
  res.onWritable(() => {
    goOn();
    return true;
  });
  return {
    over: goOn,
    send(text) {
      if (text === '') return;
      res.cork(() => {
        taken = res.write(text);
      });
    },
    async room() {
      if (taken) return;
      const stalled = setTimeout(() => res.close(), STALL_MS);
      await new Promise<void>((resolve) => {
        resume = resolve;
      });
      clearTimeout(stalled);
    },
  };
}

/** Sends everything, a portion in a turn of the event loop, so that live events come in between. */
async function pour(portions: Portions, rest: Rest, check: Answer['check'], gone: () => boolean): Promise<void> {
  try {
    while (!gone()) {
      await portions.room();
      await new Promise((resolve) => setImmediate(resolve));
      const { value, done } = await rest.next();
      if (done === true) return;
      check?.();
      if (gone()) return;
      portions.send(value);
    }
  } finally {
    await rest.return(undefined);
  }
}

const bytesOf = ({ body = '' }: Answer): Uint8Array => (body instanceof Uint8Array ? body : Buffer.from(body));

function writeHead(res: HttpResponse, status: number, headers: Readonly<Record<string, string>>): void {
  res.writeStatus(`${status} ${STATUS_CODES[status] ?? 'Unknown'}`);
  for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value);
}

/**
 * Ends an answer no faster than its client reads. `end` would buffer without a bound for a client that asks on and on
 * and never reads; here the answer stays pending, and uWebSockets.js ends a connection that asks before it is complete.
 */
export function sendPaced(res: HttpResponse, body: Uint8Array): void {
  const [sent, complete] = res.tryEnd(body, body.length);
  if (sent || complete) return;
  res.onWritable((offset) => res.tryEnd(body.subarray(offset), body.length)[0]);
}

/** What every error of every transport is answered with, with the headers of every answer. */
const refusal = (error: ProtocolError, arrival: Answered): Answer => {
  const answer = problem(error, arrival.id);
  return { ...answer, headers: { ...arrival.answerHeaders, ...answer.headers } };
};

/**
 * Answers a request with an error and ends its connection, so that a refused visitor costs no descriptor. `when` calls
 * what writes the answer, now or later.
 */
export function refuse(
  res: HttpResponse,
  error: ProtocolError,
  arrival: Answered,
  when: (write: () => void) => void = (write) => write(),
): void {
  const writer = openWriter(res, arrival);
  when(() => writer.whole(refusal(error, arrival), true));
}

/** The same for a response that was taken over before: at once, inside a cork. */
export function endRefused(res: HttpResponse, error: ProtocolError, arrival: Answered): void {
  const { status, headers = {}, body = '' } = refusal(error, arrival);
  writeHead(res, status, headers);
  res.end(body, true);
  arrival.socket.ended();
}
