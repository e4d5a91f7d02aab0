import type { HttpDeps } from '../gateway/http/deps.ts';
import type { GatewayParts } from '../gateway/live/parts.ts';
import { beginEvents, COMMENT, eventOf } from '../gateway/live/sse.ts';
import { type Carrier, type HttpSession, serveHttpSubscriber } from '../gateway/live/stream-session.ts';
import type { TopicsQuery } from '../gateway/live/topics-query.ts';
import type { NetworkApp } from '../gateway/network/network.ts';
import { ALL_TABLES, type Frame, tableReference } from '../protocol/messages.ts';
import { allRoulettes, RECENT, rouletteOf } from './payloads.ts';

const ADDRESS = '/api/stream/roulettes';

/** What this address asks of the service's state, from memory. */
export type RouletteSource = Pick<HttpDeps, 'tables' | 'table' | 'resolve'>;

/** What changes a table as these clients see it. */
const CHANGES: ReadonlySet<Frame['type']> = new Set(['new_number', 'number_corrected', 'number_removed', 'snapshot']);

const EVERYTHING: TopicsQuery = {
  frame: { type: 'subscribe', id: 1, topics: [ALL_TABLES], history: 0 },
  after: null,
};

/** The same for every reader, made once per frame. */
const changes = new WeakMap<Frame, string>();

function changeText(frame: Frame, source: RouletteSource): string | null {
  const known = changes.get(frame);
  if (known !== undefined) return known;
  const [id] = source.resolve(tableReference(frame.topic ?? '') ?? '');
  const table = id === undefined ? null : source.table(id);
  if (table === null) return null;
  const data = rouletteOf(table, RECENT);
  const text = eventOf('update', JSON.stringify({ type: 'single_roulette_update', data }));
  changes.set(frame, text);
  return text;
}

/** Every table that may be seen, as text. */
const everythingOf = (source: RouletteSource, allowed: ReadonlySet<string> | null): string =>
  JSON.stringify(
    allRoulettes(
      source
        .tables()
        .filter(({ roleta_id }) => allowed === null || allowed.has(roleta_id))
        .flatMap(({ roleta_id }) => source.table(roleta_id) ?? [])
        .map((table) => rouletteOf(table, RECENT)),
    ),
  );

/** Makes a text once for all who are told in one go: until the turn ends, the state cannot change. */
function keptForThisTurn(make: () => string): () => string {
  let kept: string | null = null;
  return () => {
    if (kept === null) {
      queueMicrotask(() => {
        kept = null;
      });
      kept = make();
    }
    return kept;
  };
}

/**
 * Tells the whole of every table at once, and of each one that changes when it changes. Nothing is resumed: whoever
 * comes back gets everything again, as these clients expect.
 */
function carryRoulettes(
  session: HttpSession,
  parts: GatewayParts,
  source: RouletteSource,
  wholeText: () => string,
): Carrier {
  const { stream, visit, allowed, resume } = session;
  const asJson = visit.head.query.get('nostream') === 'true';
  let fresh = true;
  let writtenAt = parts.now();

  const everything = (): string => (allowed === null ? wholeText() : everythingOf(source, allowed));

  function begin(): boolean {
    fresh = false;
    if (asJson) {
      session.leave();
      stream.begin('200 OK', { ...visit.answerHeaders, 'Content-Type': 'application/json; charset=utf-8' });
      stream.push(everything());
      stream.finish();
      return false;
    }
    beginEvents(stream, visit, parts.options);
    stream.push(eventOf('connected', JSON.stringify({ message: 'Connected to the stream of roulettes' })));
    return stream.push(eventOf('update', everything()));
  }

  return {
    carry(frame) {
      writtenAt = parts.now();
      if (frame.type === 'subscribed' && fresh) return begin();
      // What comes before the acknowledgement is in what follows it.
      if (fresh) return true;
      if (frame.type === 'status') return stream.push(eventOf('update', everything()));
      const text = CHANGES.has(frame.type) ? changeText(frame, source) : null;
      return text === null || stream.push(text);
    },
    room: resume,
    end: () => stream.finish(),
    isFresh: () => fresh,
    gone() {},
    tick(now) {
      if (fresh || now - writtenAt < parts.options.pingSeconds * 1000) return;
      writtenAt = now;
      stream.push(COMMENT);
    },
  };
}

/**
 * `GET /api/stream/roulettes` for RunCash's later clients: Server-Sent Events, or one JSON answer with `?nostream=true`.
 * Under the same authorization and limits as `/events`.
 */
export const serveRouletteStream =
  (source: RouletteSource) =>
  (app: NetworkApp, parts: GatewayParts): void => {
    const wholeText = keptForThisTurn(() => everythingOf(source, null));
    app.any(ADDRESS, (res, req) => parts.door.answerOther(res, req, ['GET']));
    app.get(ADDRESS, (res, req) => {
      serveHttpSubscriber(res, req, parts, {
        kind: 'sse',
        filler: COMMENT,
        read: () => EVERYTHING,
        carrierOf: (session) => carryRoulettes(session, parts, source, wholeText),
      });
    });
  };
