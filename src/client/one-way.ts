import { ALL_TABLES } from '../protocol/topic.ts';
import { type Conversation, type Ground, openLink } from './conversation.ts';
import { brokenBy } from './http.ts';
import type { Reference } from './interest.ts';
import { readMessage } from './read.ts';
import { needyItems, openReferences } from './requests.ts';
import type { Link, Query } from './transport.ts';

const keyOf = (topics: readonly string[]): string => [...topics].sort().join(' ');

/** Topics are given when the stream opens; questions (names, holes, longer histories) go beside it, one at a time. */
export function createOneWay(ground: Ground): Conversation {
  const { interest, progress, delivery, held, pending, checked, transport } = ground;
  let link: Link | null = null;
  let streamKey = '';
  let stream: readonly string[] = [];
  let asking: AbortController | null = null;
  let resolving = false;

  const wanted = (): readonly string[] => (interest.wantsAll() ? [ALL_TABLES] : [...interest.wanted()]);
  const seen = (): string | null => {
    const highest = progress.seen();
    return highest && `${highest.epoch}.${highest.seen}`;
  };

  const open = (topics: readonly string[]): void => {
    link?.close();
    stream = topics;
    streamKey = keyOf(topics);
    held.clear();
    pending.clear();
    progress.keep(interest.wants);
    for (const topic of topics) pending.add(topic);
    const query = (): Query => ({
      topics,
      history: topics.reduce((most, topic) => Math.max(most, interest.depthOf(topic)), 0),
      after: progress.cursor(topics),
      seen: seen(),
    });
    link = topics.length === 0 ? null : openLink(ground, query);
  };

  /** Frames of an answer beside the stream. Its topics count as asked for while they are read, and no longer. */
  const take = (frames: readonly unknown[], topics: readonly string[], reference: Reference | null): void => {
    const before = new Set(pending);
    for (const topic of topics) pending.add(topic);
    resolving = reference !== null;
    for (const frame of frames) {
      const message = readMessage(frame);
      if (!message) continue;
      if (message.type === 'subscribed') {
        const named = reference ? message.topics.map(({ topic }) => topic) : topics;
        for (const topic of reference ? named : []) reference?.topics.add(topic);
        delivery.subscribed(message, named);
      } else if (message.type === 'snapshot') {
        const has = progress.standings.get(message.topic);
        // Another instance may answer than the one that streams: what it shows must not be older than what is known.
        const older = has?.epoch === message.epoch && message.position < has.position && !has.owed;
        if (!older) ground.receive(message);
      } else if (message.type !== 'hello' && message.type !== 'sync') {
        ground.receive(message);
      }
    }
    resolving = false;
    pending.clear();
    for (const topic of before) pending.add(topic);
  };

  const ask = (query: Query, reference: Reference | null, done: () => void): void => {
    const abort = new AbortController();
    const { base, token } = ground;
    asking = abort;
    if (transport.ask === null) return;
    transport
      .ask({ base, token, query: () => query }, query, abort.signal)
      .then((answer) => {
        if (abort.signal.aborted) return;
        asking = null;
        if ('frames' in answer) {
          take(answer.frames, query.topics, reference);
          done();
          conversation.pump();
        } else if (
          reference &&
          (answer.refused.problem === 'unknown_topic' || answer.refused.problem === 'forbidden')
        ) {
          const { problem, reason } = answer.refused;
          interest.fail(reference, ground.errorOf(problem, reason, reference.topic));
          conversation.pump();
        } else ground.end(answer.refused, 'refused');
      })
      .catch((error: unknown) => {
        if (!abort.signal.aborted) ground.end(brokenBy(error), 'closed');
      });
  };

  const askNeedy = (): boolean => {
    const needy = needyItems(interest, progress, held);
    const replay = needy.some((item) => item.after !== undefined);
    const items = needy.filter((item) => (item.after !== undefined) === replay);
    if (items.length === 0) return false;
    const topics = items.map(({ topic }) => topic);
    const history = items.reduce((most, item) => Math.max(most, item.history), 0);
    ask({ topics, history, after: replay ? progress.cursor(topics) : null, seen: seen() }, null, () =>
      progress.asked(items),
    );
    return true;
  };

  const conversation: Conversation = {
    start: () => conversation.pump(),
    hello: () => undefined,

    subscribed(ack) {
      for (const topic of stream) held.add(topic);
      pending.clear();
      delivery.subscribed(ack, stream);
      conversation.pump();
    },

    unsubscribed: () => undefined,
    refused(error) {
      ground.error(ground.errorOf(error.code, error.message, null));
    },

    pump() {
      if (asking) return;
      const [reference] = openReferences(interest, checked);
      if (reference && reference.topics.size === 0) {
        checked.add(reference);
        const history = [...reference.followers].reduce((most, follower) => Math.max(most, follower.history), 0);
        ask({ topics: [reference.topic], history, after: null, seen: seen() }, reference, () => undefined);
      } else if (keyOf(wanted()) !== streamKey) {
        open(wanted());
      } else if (held.size > 0 && !askNeedy()) {
        ground.settled();
      }
    },

    resolving: () => resolving,
    send: () => false,
    close() {
      asking?.abort();
      link?.close();
    },
  };
  return conversation;
}
