import type { HttpResponse } from '../network/network.ts';

/** What the owner of a stream wants to know. */
export interface StreamEvents {
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
  /** Bytes that the reader has not taken, at most. */
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

/**
 * Takes over a response; in the request's own callback, since `onAborted` must be set before that returns.
 * uWebSockets buffers without end for a reader that stalls and does not say how much: bytes are counted here from the
 * first write that was not taken whole, and forgotten when a write is. That is an upper bound of what is buffered.
 * `filler` is text that means nothing to the reader, for finding out whether the buffer is empty.
 */
export function openHttpStream(
  res: HttpResponse,
  now: () => number,
  limits: { readonly softBytes: number; readonly maxBytes: number; readonly filler: string },
  events: StreamEvents,
): HttpStream {
  let live = true;
  let queue: string[] = [];
  let queuedBytes = 0;
  let unsentBytes = 0;
  let waiting = false;
  let stalledSince = 0;

  function over(): void {
    if (!live) return;
    live = false;
    queue = [];
    events.gone();
  }

  function announceRoom(): void {
    if (!waiting || unsentBytes + queuedBytes >= limits.softBytes) return;
    waiting = false;
    // A turn of the event loop between two portions, so that one long replay does not hold up everybody else.
    setImmediate(() => {
      if (live) events.room();
    });
  }

  function flush(): void {
    if (!live || queue.length === 0) return;
    const text = queue.join('');
    const bytes = queuedBytes;
    queue = [];
    queuedBytes = 0;
    const taken = write(res, text);
    if (!taken && unsentBytes === 0) stalledSince = now();
    unsentBytes = taken ? 0 : unsentBytes + bytes;
    announceRoom();
  }

  function abort(): void {
    if (live) res.close();
  }

  res.onAborted(over);
  res.onWritable(() => {
    if (live && unsentBytes > 0 && write(res, limits.filler)) unsentBytes = 0;
    announceRoom();
    return true;
  });

  return {
    begin(status, headers) {
      if (live) res.cork(() => writeHead(res, status, headers));
    },
    push(text) {
      if (!live) return false;
      if (queue.length === 0) queueMicrotask(flush);
      queue.push(text);
      queuedBytes += Buffer.byteLength(text);
      if (unsentBytes + queuedBytes > limits.maxBytes && unsentBytes > 0) {
        events.overflow();
        abort();
        return false;
      }
      const room = unsentBytes + queuedBytes < limits.softBytes;
      if (!room) waiting = true;
      return room;
    },
    finish() {
      if (!live) return;
      flush();
      res.cork(() => {
        res.end();
      });
      over();
    },
    answer(answer) {
      if (!live) return;
      res.cork(() => answer(res));
      over();
    },
    abort,
    isLive: () => live,
    unsentBytes: () => unsentBytes + queuedBytes,
    stalledMs: (at) => (unsentBytes === 0 ? 0 : at - stalledSince),
  };
}
