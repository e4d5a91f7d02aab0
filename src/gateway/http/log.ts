import type { LogPortion } from '../../protocol/delivery.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { ALL_TABLES, topicOf } from '../../protocol/messages.ts';
import { isPosition, type Position } from '../../protocol/position.ts';
import type { TableId } from '../../roulette/table.ts';
import type { Answer } from '../door/answer.ts';
import type { HttpDeps } from './deps.ts';
import { matchesTag } from './files.ts';
import { needReady } from './health.ts';
import { oneTable } from './one-table.ts';
import type { HttpOptions } from './options.ts';
import type { Operation, Route } from './route.ts';
import type { Reads, View } from './view.ts';

/*
 * The log of a topic after the read profile of the Durable Streams protocol, so that shared caches can serve it:
 * https://github.com/durable-streams/durable-streams/blob/main/PROTOCOL.md
 */

type LogDeps = Pick<HttpDeps, 'readLog' | 'changed' | 'feedStatus'>;

/** A full portion from a given offset never changes; what may still grow is kept for so long as nobody notices. */
const IMMUTABLE = 'public, max-age=31536000, immutable';
const GROWING = 'public, max-age=1';
/** A live answer is the same for all who asked with its offset and cursor. */
const LIVE_ANSWER = 'public, max-age=60';
const NOBODY = 'no-store';

/** Cursors count intervals of this length, so that a waiting that ended in vain is not asked of a cache again. */
const CURSOR_MS = 20_000;
/** How long a stream of events lasts, so that a cache can join its readers anew, and how often it shows that it lives. */
const EVENTS_MS = 60_000;
const COMMENT_MS = 15_000;

const LOG: Operation = {
  group: 'Subscribers',
  access: 'tables',
  summary: 'The events of a topic as a log that caches can serve (Durable Streams, read profile)',
  about:
    '`Stream-Next-Offset` is the `offset` to ask with next; `Stream-Up-To-Date` says that there is no more now. 410 means that the log no longer reaches back so far: read the state of the table and go on from its position.',
  parameters: [
    { name: 'topic', in: 'path', required: true, about: '`roulette:*`, or `roulette:` and a table in any spelling.' },
    { name: 'offset', in: 'query', about: '`epoch.position`; `-1` (default) is all that there is, `now` its end.' },
    { name: 'live', in: 'query', about: '`long-poll` waits for events; `sse` is a stream of them.' },
    { name: 'cursor', in: 'query', about: '`Stream-Cursor` of the answer before.' },
  ],
  answers: { '200': null, '204': null, '304': null },
  errors: [400, 404, 410, 429, 503],
};

/** What a request asks for. */
interface Asked {
  readonly topic: string;
  /** Those of the topic that the caller may see; null is all. */
  readonly tables: ReadonlySet<TableId> | null;
  readonly offset: 'start' | 'now' | { readonly epoch: string; readonly position: Position };
  readonly live: 'long-poll' | 'sse' | null;
  readonly cursor: number;
}

const invalid = (path: string, message: string): ProtocolError =>
  new ProtocolError('invalid', { problems: [{ path, message }] });

function offsetOf(query: URLSearchParams, required: boolean): Asked['offset'] {
  const given = query.getAll('offset');
  const [text] = given;
  if (text === undefined && required) throw invalid('offset', 'is required where `live` is given');
  if (text === undefined || (text === '-1' && given.length === 1)) return 'start';
  if (text === 'now' && given.length === 1) return 'now';
  const dot = text.lastIndexOf('.');
  const [epoch, position] = [text.slice(0, dot), text.slice(dot + 1)];
  if (given.length === 1 && /^[\w-]{1,64}$/.test(epoch) && isPosition(position)) return { epoch, position };
  throw invalid('offset', 'must be one `Stream-Next-Offset` of an earlier answer, -1, or now');
}

function askedOf(view: View, reference: string, query: URLSearchParams): Asked {
  const live = query.get('live');
  if (live !== null && live !== 'long-poll' && live !== 'sse') throw invalid('live', 'must be long-poll or sse');
  const table = reference === ALL_TABLES ? null : oneTable(view, reference).roleta_id;
  const tables = table === null ? view.allowed : [table];
  const cursor = query.get('cursor') ?? '';
  return {
    topic: table === null ? ALL_TABLES : topicOf(table),
    tables: tables === null ? null : new Set(tables),
    offset: offsetOf(query, live !== null),
    live,
    cursor: /^\d{1,15}$/.test(cursor) ? Number(cursor) : 0,
  };
}

/** Greater than the one that was given, so that no cache answers with the same again. */
const cursorAfter = (given: number): string => String(Math.max(Math.floor(Date.now() / CURSOR_MS), given + 1));

/** A stream of events ends there; its reader is told why when it comes back. */
function unlessGone(error: unknown): undefined {
  if (!(error instanceof ProtocolError) || error.code !== 'gone') throw error;
}

/** A portion, and where its reader goes on. */
interface Part extends LogPortion {
  readonly next: Position;
}

/** `GET /api/v1/log/:topic`. */
export function logRoutes(deps: LogDeps, reads: Reads, { logWaitMs }: HttpOptions): Route[] {
  /** Throws `gone` for an offset that the log does not reach back to, or of another database; null while not ready. */
  const partOf = ({ tables }: Asked, from: Exclude<Asked['offset'], 'now'>): Part | null => {
    const portion = deps.readLog(tables, from === 'start' ? null : from.position);
    if (portion === null) return null;
    if (from === 'start') return { ...portion, next: portion.last ?? portion.tail };
    if (from.epoch !== portion.epoch || from.position < portion.floor) throw new ProtocolError('gone');
    return { ...portion, next: portion.last ?? from.position };
  };
  const needPart = (asked: Asked): Part => {
    const part = partOf(asked, asked.offset === 'now' ? 'start' : asked.offset);
    if (part === null) throw new ProtocolError('not_ready', { retryMs: 1000 });
    return asked.offset === 'now' ? { ...part, frames: [], more: false, next: part.tail } : part;
  };

  /** Waits until there is something after a part; when the time is over, says without events how far was looked. */
  const waitAfter = async (asked: Asked, part: Part, untilMs: number): Promise<Part> => {
    let last: Part = { ...part, frames: [], more: false };
    for (;;) {
      last = partOf(asked, { epoch: part.epoch, position: last.next }) ?? last;
      const leftMs = untilMs - performance.now();
      if (last.frames.length > 0 || leftMs <= 0) return last;
      await deps.changed(asked.topic, leftMs);
    }
  };

  async function* eventsOf(asked: Asked, first: Part): AsyncGenerator<string, void, undefined> {
    const endMs = performance.now() + EVENTS_MS;
    let part = first;
    yield eventText(part, asked.cursor);
    while (performance.now() < endMs) {
      const next = await waitAfter(asked, part, Math.min(endMs, performance.now() + COMMENT_MS)).catch(unlessGone);
      if (next === undefined) return;
      yield next.next === part.next ? ': \n\n' : eventText(next, asked.cursor);
      part = next;
    }
  }

  const longPoll = async (asked: Asked, first: Part): Promise<Answer> => {
    const part = first.frames.length > 0 ? first : await waitAfter(asked, first, performance.now() + logWaitMs);
    const cache = asked.offset === 'now' ? NOBODY : LIVE_ANSWER;
    const live = { 'Stream-Cursor': cursorAfter(asked.cursor) };
    if (part.frames.length > 0) return chunk(asked, part, cache, live);
    return { status: 204, headers: { ...headersOf(part, cache), ...live } };
  };

  return [
    {
      pattern: '/api/v1/log/:topic',
      operations: { get: LOG },
      get: reads(async (view, exchange) => {
        needReady(deps);
        const asked = askedOf(view, exchange.params[0] ?? '', exchange.query);
        const part = needPart(asked);
        if (exchange.method === 'HEAD')
          return { status: 200, headers: headersOf({ ...part, next: part.tail }, NOBODY) };
        if (asked.live === 'long-poll') return await longPoll(asked, part);
        if (asked.live === 'sse') {
          const rest = eventsOf(asked, part);
          const { value } = await rest.next();
          return { status: 200, headers: { ...headersOf(part, 'no-cache'), ...EVENT_STREAM }, body: value ?? '', rest };
        }
        const isFull = part.more && typeof asked.offset === 'object';
        const answer = chunk(asked, part, asked.offset === 'now' ? NOBODY : isFull ? IMMUTABLE : GROWING);
        return matchesTag(exchange.header('if-none-match'), tagOf(asked, part)) ? { ...answer, status: 304 } : answer;
      }),
    },
  ];
}

const EVENT_STREAM = { 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' } as const;

const headersOf = ({ epoch, next, more }: Part, cache: string): Record<string, string> => ({
  'Content-Type': 'application/json',
  'Stream-Next-Offset': `${epoch}.${next}`,
  ...(more ? {} : { 'Stream-Up-To-Date': 'true' }),
  'Cache-Control': cache,
  'Cross-Origin-Resource-Policy': 'cross-origin',
});

const bodyOf = ({ frames }: Part): string => `[${frames.map(({ text }) => text).join(',')}]`;

/** The same offset asked for with the same answer has the same tag, on every instance. */
const tagOf = ({ offset }: Asked, { epoch, next, more }: Part): string =>
  `"${typeof offset === 'object' ? offset.position : offset}:${epoch}.${next}${more ? '+' : ''}"`;

const chunk = (asked: Asked, part: Part, cache: string, more: Readonly<Record<string, string>> = {}): Answer => ({
  status: 200,
  headers: { ...headersOf(part, cache), ETag: tagOf(asked, part), ...more },
  body: bodyOf(part),
});

/** The events of a part, if there are any, and then the position of its reader. */
function eventText(part: Part, cursor: number): string {
  const control = {
    streamNextOffset: `${part.epoch}.${part.next}`,
    streamCursor: cursorAfter(cursor),
    ...(part.more ? {} : { upToDate: true }),
  };
  const data = part.frames.length === 0 ? '' : `event: data\ndata:${bodyOf(part)}\n\n`;
  return `${data}event: control\ndata:${JSON.stringify(control)}\n\n`;
}
