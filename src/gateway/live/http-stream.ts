import type { HttpResponse } from '../network/network.ts';

/** What the owner of a stream wants to know. */
interface StreamEvents {
  /** Everything queued was taken by the system after `push` had said false. */
  room(): void;
  /** The response is over, whoever ended it; called once, and nothing may be pushed any more. */
  gone(): void;
  /** More unsent bytes than allowed; the stream was cut. */
  overflow(): void;
}

/** A response that is written bit by bit and knows how much of it was not taken yet. */
export interface HttpStream {
  /** Status line and headers; before the first push, corked. */
  begin(status: string, headers: Readonly<Record<string, string>>): void;
  /** Queues text; what is pushed in one tick goes out as one write. False asks to wait for `room`. */
  push(text: string): boolean;
  /** Sends what is queued and ends the response properly. */
  finish(): void;
  /** Answers at once with something whole, through `write`, which must end the response. */
  answer(write: (res: HttpResponse) => void): void;
  /** Cuts the connection: the peer sees a broken response, not a complete one. */
  abort(): void;
  isLive(): boolean;
  /** Bytes that the reader has not taken, at most: those of the queue, too. */
  unsentBytes(): number;
  /** Milliseconds since the reader last took everything; 0 when nothing is left. */
  stalledMs(now: number): number;
}

function writeHead(res: HttpResponse, status: string, headers: Readonly<Record<string, string>>): void {
  res.writeStatus(status);
  for (const [name, value] of Object.entries(headers)) res.writeHeader(name, value);
}

/** False when not all of it was taken. */
function write(res: HttpResponse, text: string): boolean {
  let taken = true;
  res.cork(() => {
    taken = res.write(text);
  });
  return taken;
}

/** How many bytes of a response may wait, and text that means nothing to its reader. */
interface StreamLimits {
  /** From here on `push` asks to wait. */
  readonly softBytes: number;
  /** Beyond, the stream is cut. */
  readonly maxBytes: number;
  /** For finding out whether the system's buffer is empty. */
  readonly filler: string;
}

/**
 * Takes over a response; in the request's own callback, since `onAborted` must be set before that returns. `now` is
 * monotonic milliseconds.
 */
export const openHttpStream = (
  res: HttpResponse,
  now: () => number,
  limits: StreamLimits,
  events: StreamEvents,
): HttpStream => new ResponseStream(res, now, limits, events);

/**
 * One per open response, with methods that all of them share: closures would cost an idle one more than all else.
 * uWebSockets.js buffers without end for a reader that stalls and does not say how much: bytes are counted here from
 * the first write that was not taken whole, and forgotten when a write is. That is an upper bound of what is buffered.
 */
class ResponseStream implements HttpStream {
  readonly #res: HttpResponse;
  readonly #now: () => number;
  readonly #limits: StreamLimits;
  readonly #events: StreamEvents;
  #live = true;
  #queue: string[] = [];
  #queuedBytes = 0;
  #unsentBytes = 0;
  /** `push` said false, and `room` is still to come. */
  #waiting = false;
  #stalledSince = 0;

  constructor(res: HttpResponse, now: () => number, limits: StreamLimits, events: StreamEvents) {
    this.#res = res;
    this.#now = now;
    this.#limits = limits;
    this.#events = events;
    res.onAborted(() => this.#over());
    res.onWritable(() => {
      if (this.#live && this.#unsentBytes > 0 && write(res, limits.filler)) this.#unsentBytes = 0;
      this.#announceRoom();
      return true;
    });
  }

  begin(status: string, headers: Readonly<Record<string, string>>): void {
    if (this.#live) this.#res.cork(() => writeHead(this.#res, status, headers));
  }

  push(text: string): boolean {
    if (!this.#live) return false;
    if (this.#queue.length === 0) queueMicrotask(() => this.#flush());
    this.#queue.push(text);
    this.#queuedBytes += Buffer.byteLength(text);
    if (this.unsentBytes() > this.#limits.maxBytes && this.#unsentBytes > 0) {
      this.#events.overflow();
      this.abort();
      return false;
    }
    const room = this.unsentBytes() < this.#limits.softBytes;
    if (!room) this.#waiting = true;
    return room;
  }

  finish(): void {
    if (!this.#live) return;
    this.#flush();
    this.#res.cork(() => {
      this.#res.end();
    });
    this.#over();
  }

  answer(answer: (res: HttpResponse) => void): void {
    if (!this.#live) return;
    this.#res.cork(() => answer(this.#res));
    this.#over();
  }

  abort(): void {
    if (this.#live) this.#res.close();
  }

  isLive(): boolean {
    return this.#live;
  }

  unsentBytes(): number {
    return this.#unsentBytes + this.#queuedBytes;
  }

  stalledMs(now: number): number {
    return this.#unsentBytes === 0 ? 0 : now - this.#stalledSince;
  }

  #over(): void {
    if (!this.#live) return;
    this.#live = false;
    this.#queue = [];
    this.#events.gone();
  }

  #announceRoom(): void {
    if (!this.#waiting || this.unsentBytes() >= this.#limits.softBytes) return;
    this.#waiting = false;
    // A turn of the event loop between two portions, so that one long replay does not keep everybody else waiting.
    setImmediate(() => {
      if (this.#live) this.#events.room();
    });
  }

  #flush(): void {
    if (!this.#live || this.#queue.length === 0) return;
    const text = this.#queue.join('');
    const bytes = this.#queuedBytes;
    this.#queue = [];
    this.#queuedBytes = 0;
    const taken = write(this.#res, text);
    if (!taken && this.#unsentBytes === 0) this.#stalledSince = this.#now();
    this.#unsentBytes = taken ? 0 : this.#unsentBytes + bytes;
    this.#announceRoom();
  }
}
