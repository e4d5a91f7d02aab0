import type { ErrorMessage, Hello, Subscribed } from '../protocol/messages.ts';
import { ALL_TABLES } from '../protocol/topic.ts';
import type { Interest, Reference } from './interest.ts';
import type { Moment, Progress } from './progress.ts';
import type { Timers } from './timers.ts';
import type { ClientFrame, TopicItem } from './transport.ts';
import { ClientError } from './types.ts';

/** The server holds a subscribe at most 5 s; while it is still starting, longer. */
const ANSWER_MS = 60_000;
/** Frames that go out unhurried; the server's bucket takes 40 at once and 20 a second. */
const BURST = 15;
const PACE_MS = 100;
/** Topics whose long histories are asked for at once. */
const MOST_AGAIN = 20;
/** What a frame has beside its topics. */
const FRAME_OVERHEAD = 300;

/** A request that was not answered yet. */
interface Flight {
  readonly id: number;
  /** What is to be sent; nothing when topics are left. */
  readonly items: readonly TopicItem[];
  readonly references: readonly Reference[];
}

export interface RequestsGround {
  readonly interest: Interest;
  readonly progress: Progress;
  readonly timers: Timers;
  readonly random: () => number;
  /** Bytes that a frame may have. */
  readonly frameBytes: number;
  /** The link sends the events of all topics in one order, and not only those of one topic. */
  readonly ordered: boolean;
  send(frame: ClientFrame): void;
  /** There is nothing left to be asked for. */
  settled(): void;
  /** A request was not answered in time. */
  unanswered(): void;
  report(error: ClientError): void;
}

/** What one connection asks for: one request at a time, the next when the last was answered. */
export interface Requests extends Moment {
  /** Begins to ask. */
  start(limits?: Hello['limits']): void;
  /** Asks for the next thing that brings what the server sends nearer to what is wanted. Cheap. */
  pump(): void;
  subscribed(ack: Subscribed): void;
  unsubscribed(id: unknown): void;
  refused(error: ErrorMessage): void;
  /** A table appeared: if others have its name, whoever follows the name wants it too. */
  appeared(name: string): void;
  /** Whether frames of a topic are for anybody. A topic begins with its snapshot; what comes before that is inside it. */
  expects(topic: string, begun: boolean): boolean;
  /** Whether a topic is sent, and nothing is under way for it. */
  isSteady(topic: string): boolean;
}

export function createRequests(ground: RequestsGround): Requests {
  const { interest, progress, timers, ordered, send } = ground;
  const { references, depthOf } = interest;
  /** Canonical topics that the server sends. */
  const held = new Set<string>();
  const asked = new Set<Reference>();
  let flight: Flight | null = null;
  let started = false;
  let sent = 0;
  let { frameBytes } = ground;
  let mostTopics = 100;

  const isHeld = (topic: string): boolean => held.has(topic) || held.has(ALL_TABLES);
  const isNaming = (): boolean => flight?.references[0]?.named === true;

  /** What is under way that may bring frames of a topic. */
  const underWay = (topic: string): TopicItem | undefined =>
    flight?.items.find((item) => item.topic === topic || item.topic === ALL_TABLES || isNaming());

  const begin = (items: readonly TopicItem[], of: readonly Reference[]): number => {
    sent += 1;
    flight = { id: sent, items, references: of };
    timers.arm('answer', ANSWER_MS, ground.unanswered);
    if (sent > BURST) timers.arm('pause', PACE_MS, pump);
    return sent;
  };

  const answered = (id: unknown): Flight | null => {
    const found = flight;
    if (found?.id !== id) return null;
    flight = null;
    timers.stop('answer');
    return found;
  };

  const take = (all: readonly TopicItem[], of: readonly Reference[] = []): void => {
    let room = frameBytes - FRAME_OVERHEAD;
    const items = all.slice(0, mostTopics).filter((item, index) => {
      room -= JSON.stringify(item).length;
      return index === 0 || room > 0;
    });
    const taken = of.slice(0, items.length);
    for (const reference of taken) asked.add(reference);
    send({ type: 'subscribe', id: begin(items, taken), topics: items, ...progress.seen() });
  };

  const leave = (topics: readonly string[]): void => {
    // From here on what still comes is for nobody, also when the topic is wanted again before the answer.
    for (const topic of topics) held.delete(topic);
    if (topics.includes(ALL_TABLES)) asked.clear();
    progress.keep(interest.wants);
    send({ type: 'unsubscribe', id: begin([], []), topics });
  };

  const itemOf = ({ topic, topics, named, followers }: Reference): TopicItem => {
    const depths = named ? [...followers].map(({ history }) => history) : [];
    const history = Math.max(...depths, ...[...topics].map(depthOf));
    return { topic, history, ...progress.resume([...topics]) };
  };

  /** Topics whose content has to be asked for again: holes, thinned lists, longer histories. */
  const incomplete = (): TopicItem[] => {
    const items: TopicItem[] = [];
    for (const { topic, table, withheld, tries, sure } of progress.standings.values()) {
      const history = depthOf(topic);
      if (topic === ALL_TABLES || !isHeld(topic)) continue;
      if (withheld && tries === 0) items.push({ topic, history, ...progress.resume([topic]) });
      else if (tries > 0 || (table && history > sure)) items.push({ topic, history });
    }
    return items.slice(0, MOST_AGAIN);
  };

  /** Nothing is remembered about what was overtaken: after every answer the whole is looked at anew. */
  function pump(): void {
    if (!started || flight || timers.has('pause')) return;
    const unwanted = [...held].filter((topic) => !interest.wants(topic));
    // All tables replace single ones; a name alone says which tables it means.
    const all = references.has(ALL_TABLES);
    const open = [...references.values()].filter((each) => !asked.has(each));
    const direct = open.filter(({ topic, named }) => !named && (!all || topic === ALL_TABLES));
    const name = open.find(({ named }) => named);
    const again = incomplete();
    if (unwanted.length > 0) leave(unwanted.slice(0, mostTopics));
    else if (direct.length > 0) take(direct.map(itemOf), direct);
    else if (name) take([itemOf(name)], [name]);
    else if (again.length > 0) take(again);
    else ground.settled();
  }

  return {
    pump,
    depthOf,
    asked: (topic) => underWay(topic)?.history ?? null,
    isSteady: (topic) => isHeld(topic) && !underWay(topic),
    inOrder: (topic) => (ordered || topic === ALL_TABLES) && isHeld(topic) && !flight?.items.length,

    expects(topic, begun) {
      const all = held.has(ALL_TABLES) || underWay(topic)?.topic === ALL_TABLES;
      const sent = all || (begun && (isHeld(topic) || underWay(topic)));
      return isNaming() || Boolean(sent && interest.wants(topic));
    },

    start(limits) {
      started = true;
      if (limits) {
        frameBytes = Math.min(frameBytes, Math.max(512, limits.frame_bytes));
        mostTopics = Math.max(1, limits.topics);
      }
      pump();
    },

    subscribed(ack) {
      const found = answered(ack.id);
      if (!found) return;
      const { items, references: of } = found;
      const [first] = of;
      const topics = (first?.named ? ack.topics : items).map(({ topic }) => topic);
      for (const topic of first?.named ? topics : []) first?.topics.add(topic);
      if (topics.includes(ALL_TABLES)) held.clear();
      if (!held.has(ALL_TABLES)) for (const topic of topics) held.add(topic);
      progress.subscribed(ack, topics, items);
      pump();
    },

    unsubscribed(id) {
      answered(id);
      pump();
    },

    refused(error) {
      const { code, message, retry } = error;
      const found = answered(error.id);
      if (!found) {
        ground.report(new ClientError(code, message));
        return;
      }
      const { items, references: of } = found;
      for (const reference of of) asked.delete(reference);
      if (retry !== 'never') {
        timers.arm('pause', error.retry_ms ?? 500 + ground.random() * 1000, pump);
        return;
      }
      const named = (error.problems ?? []).map(({ path }) => items[Number(path.split('.')[1])]);
      const guilty = items.filter((item) => items.length === 1 || named.includes(item));
      // When nobody says which one it is, each is asked alone.
      if (guilty.length === 0) mostTopics = 1;
      for (const { topic, history } of guilty) {
        const reference = of.find((each) => each.topic === topic);
        const failure = new ClientError(code, message, { topic });
        for (const follower of [...(reference?.followers ?? [])]) follower.end(failure);
        if (!reference) {
          // It is held already, and goes on with what it has.
          progress.content(topic, history);
          ground.report(failure);
        }
      }
      pump();
    },

    appeared(name) {
      for (const reference of asked) {
        const names = [...reference.topics].map((topic) => progress.standings.get(topic)?.table?.nome);
        if (reference.named && names.includes(name)) asked.delete(reference);
      }
      pump();
    },
  };
}
