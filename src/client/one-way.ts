import type { Probe } from './better-transport.ts';
import { createHoldings } from './holdings.ts';
import { brokenBy, fetchOf, pollOnce } from './http.ts';
import { isFields } from './read.ts';
import type {
  FetchLike,
  LinkClosed,
  LinkSink,
  LinkTarget,
  SubscribeRequest,
  Transport,
  TransportName,
} from './transport.ts';

/**
 * A way to get frames without end: one stream, or poll after poll. `request` is asked for every one of them, since its
 * position moves. Tells `sink` as soon as the server answered. Returns its end.
 */
export type Channel = (
  fetch: FetchLike,
  target: LinkTarget,
  request: () => SubscribeRequest,
  sink: LinkSink,
) => () => void;

/** Refusals that mean the topics of one request, and not the connection. */
const REFUSALS: ReadonlySet<unknown> = new Set(['unknown_topic', 'forbidden', 'too_many_topics']);
/** Frames that are about a whole connection, and mean nothing in an answer beside it. */
const QUIET: ReadonlySet<unknown> = new Set(['hello', 'sync']);

const typeOf = (frame: unknown): unknown => (isFields(frame) ? frame['type'] : null);

/**
 * Makes a link that takes subscriptions out of requests over HTTP. The first topics are asked for by opening the
 * channel. What is asked for later is asked by a poll beside it; then the channel is opened anew with all topics, from
 * the lowest of their positions. Meanwhile it tries a better transport.
 */
export function oneWay(name: TransportName, channel: Channel, probe: Probe, given?: FetchLike): Transport {
  const fetch = fetchOf(given);
  return {
    name,
    duplex: false,
    open(target, sink) {
      if (fetch === null) throw new TypeError('no fetch');
      const abort = new AbortController();
      const holdings = createHoldings();
      let history = 0;
      let closeChannel = (): void => undefined;
      const stopProbing = probe(target.base, () => sink.closed({ code: null, reason: 'better', better: true }));

      /** An acknowledgement that nobody waits for says no more than that everything was sent. */
      const accept = (frame: unknown, request: SubscribeRequest | null): void => {
        if (typeOf(frame) !== 'subscribed' || !isFields(frame)) {
          if (typeOf(frame) === 'resolved') holdings.resolved(frame);
          sink.frame(frame);
        } else if (request === null) {
          sink.frame({ type: 'sync', position: frame['position'] });
        } else {
          holdings.took(frame, request);
          sink.frame({ ...frame, id: request.id });
        }
      };

      const refuse = (end: LinkClosed, request: SubscribeRequest | null): void => {
        const { problem: code, reason: message } = end;
        if (request === null || !REFUSALS.has(code)) sink.closed(end);
        else sink.frame({ type: 'error', id: request.id, code, message, retry: 'never' });
      };

      const listen = (first: SubscribeRequest | null): void => {
        closeChannel();
        let request = first;
        closeChannel = channel(fetch, target, () => request ?? holdings.request(target.progress, history), {
          alive: sink.alive,
          frame(frame) {
            const answered = request;
            holdings.heard(frame);
            if (typeOf(frame) === 'subscribed') request = null;
            accept(frame, answered);
          },
          closed: (end) => refuse(end, request),
        });
      };

      const ask = async (request: SubscribeRequest): Promise<void> => {
        const answer = await pollOnce(fetch, target, request, 0, abort.signal);
        if (abort.signal.aborted) return;
        if ('refused' in answer) return refuse(answer.refused, request);
        const before = holdings.key;
        for (const frame of answer.frames) if (!QUIET.has(typeOf(frame))) accept(frame, request);
        if (holdings.key !== before) listen(null);
      };

      return {
        send(frame) {
          if (frame.type === 'subscribe') {
            history = Math.max(history, ...frame.topics.map((item) => item.history));
            if (holdings.isEmpty) listen(frame);
            else ask(frame).catch((error: unknown) => sink.closed(brokenBy(error)));
          } else if (frame.type === 'unsubscribe') {
            for (const topic of frame.topics) holdings.forget(topic);
            if (holdings.isEmpty) closeChannel();
            else listen(null);
            queueMicrotask(() => sink.frame({ ...frame, type: 'unsubscribed' }));
          }
        },
        close() {
          stopProbing();
          closeChannel();
          abort.abort();
        },
      };
    },
  };
}
