import { STATUS_CODES } from 'node:http';
import type { ProtocolError } from '../../protocol/errors.ts';
import type { HttpResponse } from '../network/network.ts';
import { type Answer, problem } from './answer.ts';
import type { Arrival } from './arrival.ts';

type Rest = AsyncGenerator<string, void, undefined>;

const UNSAFE = /[\r\n\0]/;

/** Writes one answer, unless the client is gone or was answered. */
export interface Writer {
  /** With its body. Throws RangeError for a header that would break the answer. */
  whole(answer: Answer, close: boolean): void;
  /** With its body and what follows that. An error of the latter cuts the connection, and is told. */
  inPortions(answer: Answer, rest: Rest, close: boolean, failed: (cause: unknown) => void): void;
  /** Headers alone, of a HEAD or a 304; they name the length of the body. */
  bodiless(answer: Answer, close: boolean): void;
  /** True once the client is gone; nobody will see the answer. */
  gone(): boolean;
}

/** Takes a response over, in the request's own callback. `left` hears that the client is gone. */
export function openWriter(
  res: HttpResponse,
  { socket }: Pick<Arrival, 'socket'>,
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
      aborted = portions.wake;
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
        res.endWithoutBody(bytesOf(answer).length),
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
  wake(): void;
}

function openPortions(res: HttpResponse): Portions {
  let taken = true;
  let resume = (): void => undefined;
  const wake = (): void => {
    taken = true;
    resume();
  };
  res.onWritable(() => {
    wake();
    return true;
  });
  return {
    wake,
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
const refusal = (error: ProtocolError, arrival: Arrival): Answer => {
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
  arrival: Arrival,
  when: (write: () => void) => void = (write) => write(),
): void {
  const writer = openWriter(res, arrival);
  when(() => writer.whole(refusal(error, arrival), true));
}

/** The same for a response that was taken over before: at once, inside a cork. */
export function endRefused(res: HttpResponse, error: ProtocolError, arrival: Arrival): void {
  const { status, headers = {}, body = '' } = refusal(error, arrival);
  writeHead(res, status, headers);
  res.end(body, true);
  arrival.socket.ended();
}
