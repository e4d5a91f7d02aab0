import { formatLastPosition, type LastPosition } from '../gateway/live/topics-query.ts';
import type { Delivery, Subscriber } from '../protocol/delivery.ts';
import { ALL_TABLES, type Frame } from '../protocol/messages.ts';
import type { SubscribeFrame } from '../protocol/requests.ts';
import { type EventFrame, readFrame, type TopicAnswer } from './payloads.ts';
import type { LegacySession, Sessions } from './session.ts';

/** The request for one topic, from the position of the client or anew. */
export const subscribeTo = (id: number, topic: string, last: LastPosition | null, history: number): SubscribeFrame => ({
  type: 'subscribe',
  id,
  topics: [
    last === null
      ? topic
      : {
          topic,
          after: last.position,
          ...(last.epoch === null ? {} : { epoch: last.epoch }),
          ...(last.owed ? { owed: true } : {}),
        },
  ],
  history,
});

/** `epoch.position` of an event as it is published or replayed now; null for frames without a position. */
export const positionOf = (frame: Frame, delivery: Delivery): string | null =>
  frame.position === null ? null : formatLastPosition(delivery.reached()?.epoch ?? '', frame.position, false);

/** How a catching up ended: `recovered`, and how many events or why not. */
export type Recovery = Readonly<Record<string, unknown>>;

export interface CatchUpEvents {
  missed(event: EventFrame, last: string | null): void;
  /** What comes from now on is not part of what was missed: in the same turn, what goes to everybody must be joined. */
  over(recovery: Recovery): void;
}

/**
 * Replays what goes to everybody to a client that was away since `last`. A subscriber of its own, since the tables of
 * the client are taken up one by one; it ends with its acknowledgement.
 */
export function catchUp(
  last: LastPosition,
  session: LegacySession,
  sessions: Sessions,
  delivery: Delivery,
  limits: { readonly allowed: ReadonlySet<string> | null; readonly maxTopics: number },
  events: CatchUpEvents,
): Subscriber {
  const end = (recovery: Recovery): void => {
    events.over(recovery);
    // Not in the feed's own call.
    setImmediate(() => subscriber.closed());
  };
  const subscriber = delivery.open(
    {
      send(frame) {
        if (!session.alive || session.closing) return false;
        const read = readFrame(frame);
        if (read?.type === 'new_number' || read?.type === 'strategy_update')
          events.missed(read, positionOf(frame, delivery));
        else if (read?.type === 'subscribed') end(recoveryOf(read.topics));
        else if (read?.type === 'error') end({ recovered: false, reason: read.code });
        return sessions.paced(session, frame.text.length);
      },
      join: () => undefined,
      leave: () => undefined,
      close: (code) => sessions.close(session, code),
    },
    // Under a token that names tables, all of them are each of those.
    { ...limits, maxTopics: Math.max(limits.maxTopics, limits.allowed?.size ?? 0) },
  );
  subscriber.subscribe(subscribeTo(1, ALL_TABLES, last, 0));
  return subscriber;
}

function recoveryOf(topics: readonly TopicAnswer[]): Recovery {
  const lost = topics.find(({ recovered }) => !recovered);
  if (lost !== undefined) return { recovered: false, reason: lost.reason };
  return { recovered: true, replayed: topics.reduce((sum, { replayed }) => sum + (replayed ?? 0), 0) };
}
