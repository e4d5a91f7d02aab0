import type { ErrorMessage } from '../protocol/messages.ts';
import { ALL_TABLES } from '../protocol/topic.ts';
import { type Conversation, type Ground, openLink } from './conversation.ts';
import type { TopicItem } from './progress.ts';
import { missingTopics, nextWish, type Wish } from './requests.ts';
import type { Link } from './transport.ts';
import { ClientError } from './types.ts';

/** The server holds a subscribe at most 5 s; while it is still starting, longer. */
const ANSWER_MS = 60_000;
/** Frames that go out unhurried; the server's bucket takes 40 at once and 20 a second. */
const BURST = 15;
const PACE_MS = 100;

/** Topics are asked for by frames, one at a time: the next when the last was answered. */
export function createDuplex(ground: Ground): Conversation {
  const { interest, progress, delivery, clock, held, pending, checked } = ground;
  let link: Link | null = null;
  let greeted = false;
  let flight: { readonly id: number; readonly wish: Wish; readonly stop: () => void } | null = null;
  let stopPause: (() => void) | null = null;
  let sent = 0;
  /** After a refusal of several topics each is asked alone, so that only the guilty one fails. */
  let alone = false;

  const send = (frame: object): boolean => {
    if (!link?.send) return false;
    link.send(frame);
    return true;
  };

  const markPending = (): void => {
    pending.clear();
    for (const topic of missingTopics(interest, held)) pending.add(topic);
    if (flight?.wish.kind !== 'take') return;
    for (const item of flight.wish.items) pending.add(item.topic);
    for (const topic of flight.wish.reference?.topics ?? []) pending.add(topic);
  };

  const pauseFor = (delayMs: number): void => {
    stopPause?.();
    stopPause = clock.after(delayMs, () => {
      stopPause = null;
      conversation.pump();
    });
  };

  const frameOf = (id: number, items: readonly TopicItem[]): object => {
    const seen = progress.seen();
    const topics = items.map(({ epoch, ...item }) =>
      epoch === undefined || epoch === seen?.epoch ? item : { ...item, epoch },
    );
    return { type: 'subscribe', id, topics, ...seen };
  };

  const ask = (wish: Wish): void => {
    sent += 1;
    const id = sent;
    const stop = clock.after(ANSWER_MS, () => ground.end({ code: null, reason: 'no answer' }, 'no_answer'));
    flight = { id, wish, stop };
    if (wish.kind === 'take') {
      if (wish.reference) checked.add(wish.reference);
      send(frameOf(id, wish.items));
    } else {
      // From here on what still comes is for nobody, also when the topic is wanted again before the answer.
      for (const topic of wish.topics) held.delete(topic);
      progress.keep(interest.wants);
      send({ type: 'unsubscribe', id, topics: wish.topics });
    }
  };

  const answered = (id: unknown): Wish | null => {
    if (!flight || flight.id !== id) return null;
    const { wish, stop } = flight;
    stop();
    flight = null;
    return wish;
  };

  const blame = (wish: Extract<Wish, { kind: 'take' }>, error: ErrorMessage): void => {
    const named = (error.problems ?? []).map(({ path }) => wish.items[Number(/^topics\.(\d+)/.exec(path)?.[1])]);
    const guilty = named.filter((item) => item !== undefined);
    const blamed = guilty.length > 0 ? guilty : wish.items.length === 1 ? wish.items : [];
    alone ||= blamed.length === 0;
    for (const { topic, history } of blamed) {
      const reference = wish.reference ?? interest.references.get(topic);
      const standing = progress.standings.get(topic);
      const failure = new ClientError(error.code, error.message, { topic: reference?.topic ?? topic });
      // A topic that is held already only asked for more of its past: it goes on with what it has.
      if (standing && (held.has(topic) || held.has(ALL_TABLES))) {
        standing.need = 'nothing';
        progress.asked([{ topic, history }]);
        ground.error(failure);
      } else if (reference) {
        interest.fail(reference, failure);
      } else {
        for (const each of interest.references.values()) if (each.topics.delete(topic)) ground.error(failure);
      }
    }
  };

  const conversation: Conversation = {
    start() {
      for (const topic of missingTopics(interest, held)) pending.add(topic);
      link = openLink(ground, () => ({ topics: [], history: 0, after: null, seen: null }));
    },

    hello({ auth, limits }) {
      greeted = true;
      ground.frameBytes = Math.min(ground.frameBytes, Math.max(512, limits.frame_bytes));
      ground.mostTopics = Math.max(1, limits.topics);
      if (auth === 'jwt' && ground.token !== null) send({ type: 'auth', id: 'auth', token: ground.token });
      conversation.pump();
    },

    subscribed(ack) {
      const wish = answered(ack.id);
      if (wish?.kind !== 'take') return;
      const topics = wish.reference ? ack.topics.map(({ topic }) => topic) : wish.items.map(({ topic }) => topic);
      for (const topic of wish.reference ? topics : []) wish.reference?.topics.add(topic);
      if (topics.includes(ALL_TABLES)) held.clear();
      for (const topic of held.has(ALL_TABLES) ? [] : topics) held.add(topic);
      delivery.subscribed(ack, topics);
      progress.asked(wish.items);
      conversation.pump();
    },

    unsubscribed(id) {
      answered(id);
      conversation.pump();
    },

    refused(error) {
      const wish = answered(error.id);
      if (!wish) {
        ground.error(new ClientError(error.code, error.message));
        return;
      }
      if (error.retry !== 'never') {
        if (wish.kind === 'take' && wish.reference) checked.delete(wish.reference);
        markPending();
        pauseFor(error.retry_ms ?? 500 + ground.random() * 1000);
        return;
      }
      if (wish.kind === 'take') blame(wish, error);
      conversation.pump();
    },

    pump() {
      if (greeted && !flight && !stopPause) {
        const wish = nextWish(interest, progress, { ...ground, mostTopics: alone ? 1 : ground.mostTopics });
        if (!wish) ground.settled();
        else if (sent >= BURST && sent % 2 === 0) {
          sent += 1;
          pauseFor(PACE_MS);
        } else ask(wish);
      }
      markPending();
    },

    resolving: () => flight?.wish.kind === 'take' && flight.wish.reference !== null,
    send,
    close() {
      flight?.stop();
      stopPause?.();
      link?.close();
    },
  };
  return conversation;
}
