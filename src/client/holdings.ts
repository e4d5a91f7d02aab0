import { ALL_TABLES } from '../protocol/messages.ts';
import { isPosition } from '../protocol/position.ts';
import type { TopicProgress } from './progress.ts';
import { isFields } from './read.ts';
import { later, type MaybePosition } from './table.ts';
import type { SubscribeRequest } from './transport.ts';

/** What a link over HTTP asks for with every request: a server of HTTP remembers nothing between two of them. */
export interface Holdings {
  readonly isEmpty: boolean;
  /** Equal while no topic comes or goes. */
  readonly key: string;
  /** Takes the acknowledgement of what was asked for anew. */
  took(ack: unknown, request: SubscribeRequest): void;
  /** A name came to mean a table, or one more. */
  resolved(notice: unknown): void;
  /** A frame of the channel that carries all topics. */
  heard(frame: unknown): void;
  forget(topic: string): void;
  /** Asks for all of it, from the lowest of their positions. */
  request(progress: Pick<TopicProgress, 'resume' | 'seen'>, history: number): SubscribeRequest;
}

/** Frames that say that everything up to their position was sent. */
const REACHING: ReadonlySet<unknown> = new Set(['subscribed', 'sync']);

/** The topics that an acknowledgement names, but for those that mean no table yet. */
function topicsOf(ack: unknown): readonly string[] {
  const results: unknown = isFields(ack) ? ack['topics'] : null;
  return (Array.isArray(results) ? results : []).flatMap((result) => {
    const { topic, pending } = isFields(result) ? result : {};
    // An id of seven digits is sent from the beginning, also while it is pending.
    return typeof topic === 'string' && (pending !== true || /:\d{7}$/.test(topic)) ? [topic] : [];
  });
}

export function createHoldings(): Holdings {
  const taken = new Set<string>();
  /** Names that were asked for, with the topics that each means. */
  const names = new Map<string, Set<string>>();
  /** Up to here everything was sent. */
  let reached: MaybePosition = '';

  const add = (topic: string): void => {
    if (!taken.has(ALL_TABLES)) taken.add(topic);
  };

  return {
    get isEmpty() {
      return taken.size + names.size === 0;
    },
    get key() {
      return [...taken, ...names.keys()].join();
    },
    took(ack, request) {
      const topics = topicsOf(ack);
      if (topics.includes(ALL_TABLES)) taken.clear();
      for (const topic of topics) add(topic);
      for (const { topic, tables } of request.topics) if (tables !== undefined) names.set(topic, new Set(topics));
    },
    resolved(notice) {
      const { topic, asked } = isFields(notice) ? notice : {};
      if (typeof topic !== 'string' || typeof asked !== 'string') return;
      names.get(asked)?.add(topic);
      add(topic);
    },
    heard(frame) {
      if (!isFields(frame) || !REACHING.has(frame['type']) || !isPosition(frame['position'])) return;
      reached = later(reached, frame['position']);
    },
    forget(topic) {
      taken.delete(topic);
      for (const [name, own] of names) if (name === topic || own.has(topic)) names.delete(name);
    },
    request(progress, history) {
      const resume = progress.resume([...taken]);
      // What means no table yet goes on from where that was so.
      const pending = { after: reached === '' ? undefined : reached };
      const named = [...names].map(([topic, own]) => ({
        topic,
        history,
        ...(own.size === 0 ? pending : resume),
        tables: own.size,
      }));
      const topics = [...[...taken].map((topic) => ({ topic, history, ...resume })), ...named];
      return { type: 'subscribe', id: 0, topics, ...progress.seen() };
    },
  };
}
