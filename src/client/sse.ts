import { addressOf, brokenBy, fetchOf, headersOf, refusalOf } from './http.ts';
import { pollOnce } from './poll.ts';
import type { FetchLike, LinkClosed, LinkSink, ResponseLike, Transport } from './transport.ts';

/** Characters of one unfinished event; the largest snapshot has a tenth of it. */
const MAX_PENDING = 4_000_000;

/**
 * Splits a Server-Sent Events stream (WHATWG HTML, 9.2) into its `data`. Fields beside `data` are not needed: the
 * position is in the data, and the client keeps it itself.
 */
export function createEventParser(data: (text: string) => void, alive: () => void): (chunk: string) => boolean {
  let pending = '';
  let lines: string[] = [];
  return (chunk) => {
    pending += chunk;
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(pending);
      if (!end) return pending.length < MAX_PENDING;
      const line = pending.slice(0, end.index);
      pending = pending.slice(end.index + end[0].length);
      if (line === '') {
        if (lines.length > 0) data(lines.join('\n'));
        else alive();
        lines = [];
      } else if (line.startsWith('data:')) {
        lines.push(line.slice(line[5] === ' ' ? 6 : 5));
      } else {
        alive();
      }
    }
  };
}

/**
 * Server-Sent Events at `<base>/events`, read from fetch and not from EventSource: Node has no EventSource, and an
 * EventSource can neither carry a token in a header nor say why it was refused.
 */
export function sseTransport(given?: FetchLike): Transport {
  const fetch = fetchOf(given);
  return {
    name: 'sse',
    available: fetch !== null,
    open(target, sink) {
      const abort = new AbortController();
      let over = false;
      const end = (closed: LinkClosed): void => {
        if (over) return;
        over = true;
        abort.abort();
        sink.closed(closed);
      };

      const run = async (): Promise<void> => {
        if (fetch === null) throw new TypeError('no fetch on this platform');
        const response = await fetch(addressOf(target.base, '/events', target.query()), {
          headers: headersOf(target, 'text/event-stream'),
          signal: abort.signal,
          cache: 'no-store',
        });
        if (over) return;
        if (!response.ok) return end(await refusalOf(response));
        if (!response.headers.get('content-type')?.startsWith('text/event-stream') || response.body === null) {
          return end({ code: response.status, reason: 'not an event stream', foreign: true });
        }
        sink.opened();
        await read(response.body, sink, () => over);
        end({ code: null, reason: 'the stream ended' });
      };
      run().catch((error: unknown) => end(brokenBy(error)));

      return {
        send: null,
        close() {
          over = true;
          abort.abort();
        },
      };
    },
    ask: fetch === null ? null : (target, query, signal) => pollOnce(fetch, target, query, 0, signal),
  };
}

async function read(body: NonNullable<ResponseLike['body']>, sink: LinkSink, over: () => boolean): Promise<void> {
  const decoder = new TextDecoder();
  const parse = createEventParser(
    (text) => {
      if (over()) return;
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        // Reported as the malformed frame that it is.
        value = null;
      }
      sink.frame(value);
    },
    () => {
      if (!over()) sink.alive();
    },
  );
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done || over()) return;
    if (value && !parse(decoder.decode(value, { stream: true }))) throw new RangeError('endless event');
  }
}
