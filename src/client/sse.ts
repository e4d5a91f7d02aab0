import { addressOf, brokenBy, headersOf, refusalOf } from './http.ts';
import type { Channel } from './one-way.ts';
import type { LinkSink, ResponseLike } from './transport.ts';
import { parsed } from './websocket.ts';

/** Characters of one unfinished event; the largest snapshot has a tenth of it. */
const MAX_PENDING = 4_000_000;

/**
 * Splits a Server-Sent Events stream (WHATWG HTML, 9.2) into its `data`. Fields beside `data` are not needed: the
 * position is in the data, and the client keeps it itself.
 */
function createEventParser(data: (text: string) => void, alive: () => void): (chunk: string) => boolean {
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
export const sseChannel: Channel = (fetch, target, request, sink) => {
  const abort = new AbortController();
  const { signal } = abort;
  const run = async (): Promise<void> => {
    const response = await fetch(addressOf(target.base, '/events', request()), {
      headers: headersOf(target, 'text/event-stream'),
      signal,
      cache: 'no-store',
    });
    if (!response.ok) return sink.closed(await refusalOf(response));
    if (!response.headers.get('content-type')?.startsWith('text/event-stream') || response.body === null) {
      return sink.closed({ code: response.status, reason: 'not an event stream', foreign: true });
    }
    sink.alive();
    await read(response.body, sink, signal);
    if (!signal.aborted) sink.closed({ code: null, reason: 'the stream ended' });
  };
  run().catch((error: unknown) => {
    if (!signal.aborted) sink.closed(brokenBy(error));
  });
  return () => abort.abort();
};

async function read(body: NonNullable<ResponseLike['body']>, sink: LinkSink, signal: AbortSignal): Promise<void> {
  const decoder = new TextDecoder();
  const parse = createEventParser(
    (text) => {
      if (!signal.aborted) sink.frame(parsed(text));
    },
    () => {
      if (!signal.aborted) sink.alive();
    },
  );
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done || signal.aborted) return;
    if (value && !parse(decoder.decode(value, { stream: true }))) throw new RangeError('endless event');
  }
}
