import { ALL_TABLES, type ErrorMessage, type Resolved, type Subscribed } from '../protocol/messages.ts';
import type { Timers } from './clock.ts';
import type { Follow, Interest } from './interest.ts';
import { ANSWER_MS, BURST, MOST_AGAIN, PACE_MS } from './limits.ts';
import type { Moment, TopicProgress } from './progress.ts';
import type { ClientRequest, TopicItem } from './transport.ts';
import { ClientError } from './types.ts';

/** A request that was not answered yet. */
interface Flight {
  readonly id: number;
  /** What is to be sent; nothing when topics are left. */
  readonly items: readonly TopicItem[];
  /** Of a name, whose tables the answer tells. */
  readonly name: Follow | null;
}

export interface RequestsGround {
  readonly interest: Interest;
  readonly progress: TopicProgress;
  readonly timers: Timers;
  readonly random: () => number;
  /** The link sends the events of all topics in one order, and not only those of one topic. */
  readonly ordered: boolean;
  send(frame: ClientRequest): void;
  /** There is nothing left to be asked for. */
  settled(): void;
  /** A request was not answered in time. */
  unanswered(): void;
  report(error: ClientError): void;
}

/** What one connection asks for: one request at a time, the next when the last was answered. */
export interface Requests extends Moment {
  /**
   * Begins to ask, for so many topics in one frame. A connection may have `limit` topics; beyond that all tables are
   * asked for, and what nobody wants of them is passed over.
   */
  start(topics: number, limit?: number): void;
  /** Asks for the next thing that brings what the server sends nearer to what is wanted. Cheap. */
  pump(): void;
  acknowledge(ack: Subscribed): void;
  left(id: unknown): void;
  refuse(error: ErrorMessage): void;
  /** What was asked for came to mean a table, or one more: the server sends it from now on. */
  meant(notice: Resolved): void;
  /** Whether frames of a topic are for anybody. */
  expects(topic: string): boolean;
  /** Whether a topic is sent, and nothing is under way for it. */
  isSteady(topic: string): boolean;
}

export function createRequests(ground: RequestsGround): Requests {
  const { interest, progress, timers, ordered, send } = ground;
  const { followers, depthOf, wants } = interest;
  /** Canonical topics that the server sends. */
  const sent = new Set<string>();
  /** Names whose tables are sent. */
  const named = new Set<Follow>();
  /** Single topics asked for beside all tables. */
  const asked = new Set<string>();
  let flight: Flight | null = null;
  let lastId = 0;
  /** Topics of one frame; none before the start. */
  let most = 0;
  let allowed = 0;

  const isSent = (topic: string): boolean => sent.has(topic) || sent.has(ALL_TABLES);

  /** Passed over while nobody wanted it, or not there when all tables were sent. Asked for once: it may not exist yet. */
  const isUnseen = (topic: string): boolean =>
    sent.has(ALL_TABLES) && topic !== ALL_TABLES && !progress.states.get(topic)?.table && !asked.has(topic);

  /** What is under way that may bring frames of a topic. */
  const underWay = (topic: string): TopicItem | undefined =>
    flight?.items.find((item) => item.topic === topic || item.topic === ALL_TABLES || flight?.name);

  const begin = (items: readonly TopicItem[], name: Follow | null): number => {
    lastId += 1;
    flight = { id: lastId, items, name };
    timers.arm('answer', ANSWER_MS, ground.unanswered);
    if (lastId > BURST) timers.arm('pause', PACE_MS, pump);
    return lastId;
  };

  const answered = (id: unknown): Flight | null => {
    const found = flight;
    if (found?.id !== id) return null;
    flight = null;
    timers.cancel('answer');
    return found;
  };

  const take = (items: readonly TopicItem[], name: Follow | null = null): void => {
    const topics = items.slice(0, most);
    for (const { topic } of topics) asked.add(topic);
    send({ type: 'subscribe', id: begin(topics, name), topics, ...progress.seen() });
  };

  const leave = (topics: readonly string[]): void => {
    // From here on what still comes is for nobody, also when the topic is wanted again before the answer.
    for (const topic of topics) sent.delete(topic);
    if (topics.includes(ALL_TABLES)) named.clear();
    progress.keep(wants);
    send({ type: 'unsubscribe', id: begin([], null), topics });
  };

  /** Goes on from the position of those topics, or begins with a snapshot. */
  const itemOf = (topic: string, history: number, from: readonly string[]): TopicItem => ({
    topic,
    history,
    ...progress.resume(from),
  });

  /** Topics whose content has to be asked for again: holes, thinned lists, longer histories. */
  const incomplete = (): TopicItem[] => {
    const items: TopicItem[] = [];
    for (const { topic, table, withheld, tries, sure } of progress.states.values()) {
      const history = depthOf(topic);
      if (topic === ALL_TABLES || !isSent(topic)) continue;
      const replay = withheld && tries === 0;
      if (replay || tries > 0 || (table && history > sure)) items.push(itemOf(topic, history, replay ? [topic] : []));
    }
    return items.slice(0, MOST_AGAIN);
  };

  /** Nothing is remembered about what was overtaken: after every answer the whole is looked at anew. */
  function pump(): void {
    if (most === 0 || flight || timers.isArmed('pause')) return;
    const single = new Set([...followers].flatMap(({ topics }) => [...topics]));
    // All tables replace single ones, also when there are more of them than a connection may have.
    const all = wants(ALL_TABLES) || single.size > allowed;
    const wanted = all ? new Set([ALL_TABLES]) : single;
    if (!all) progress.single();
    const unwanted = [...sent].filter((topic) => !wanted.has(topic) && !(all && wants(topic)));
    const missing = [...(sent.has(ALL_TABLES) ? single : wanted)].filter((topic) => !isSent(topic) || isUnseen(topic));
    const name = [...followers].find((each) => each.named && !named.has(each));
    const again = incomplete();
    if (unwanted.length > 0) {
      leave(unwanted.slice(0, most));
    } else if (missing.length > 0) {
      take(missing.map((topic) => itemOf(topic, depthOf(topic), [topic])));
    } else if (name) {
      const topics = [...name.topics];
      const history = Math.max(name.history, ...topics.map(depthOf));
      named.add(name);
      const after = topics.length === 0 && name.pendingAt ? { after: name.pendingAt } : {};
      take([{ ...itemOf(name.topic, history, topics), ...after, tables: topics.length }], name);
    } else if (again.length > 0) {
      take(again);
    } else {
      ground.settled();
    }
  }

  return {
    pump,
    depthOf,
    requested: (topic) => underWay(topic)?.history ?? null,
    isSteady: (topic) => isSent(topic) && !underWay(topic),
    inOrder: (topic) => (ordered || topic === ALL_TABLES) && isSent(topic) && !flight?.items.length,
    expects: (topic) => Boolean(flight?.name) || wants(topic),
    isOpen: () => isSent(ALL_TABLES) || underWay(ALL_TABLES) !== undefined,

    start(topics, limit = Number.POSITIVE_INFINITY) {
      allowed = limit;
      most = Math.max(1, Math.floor(topics));
      pump();
    },

    acknowledge(ack) {
      const found = answered(ack.id);
      if (!found) return;
      const { items, name } = found;
      // What is pending is named as it was asked for, and told of when it begins.
      const known = name ? ack.topics.filter(({ pending }) => !pending) : items;
      const topics = known.map(({ topic }) => topic);
      const met = topics.filter((topic) => name && !name.topics.has(topic));
      for (const topic of met) name?.topics.add(topic);
      if (name) name.pendingAt = ack.position;
      if (topics.includes(ALL_TABLES)) sent.clear();
      if (!sent.has(ALL_TABLES)) for (const topic of topics) sent.add(topic);
      progress.takeAck(ack, topics, items);
      // Their snapshots came when nobody could tell that this name means them.
      for (const topic of met) name?.show(topic, 'new');
      pump();
    },

    left(id) {
      answered(id);
      pump();
    },

    refuse(error) {
      const found = answered(error.id);
      const [item, ...more] = found?.items ?? [];
      const { code, message, retry } = error;
      if (found?.name) named.delete(found.name);
      if (found && retry !== 'never') {
        timers.arm('pause', error.retry_ms ?? 500 + ground.random() * 1000, pump);
        return;
      }
      const failure = new ClientError(code, message, item?.topic);
      if (more.length > 0) {
        // Asked for in ever smaller parts, until only the guilty one fails.
        most = Math.ceil(more.length / 2);
      } else if (item && (found?.name || !isSent(item.topic))) {
        for (const follower of followers) if (follower.topic === item.topic) follower.finish(failure);
      } else {
        // What is sent already goes on with what it has.
        if (item) progress.content(item.topic, item.history);
        ground.report(failure);
      }
      pump();
    },

    meant({ topic, asked: name }) {
      for (const follower of followers) if (follower.topic === name) follower.topics.add(topic);
      // Also where nobody wants it any more: then it is left.
      if (!sent.has(ALL_TABLES)) sent.add(topic);
      pump();
    },
  };
}
