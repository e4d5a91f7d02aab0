import { ALL_TABLES } from '../protocol/topic.ts';
import { isFields } from './read.ts';
import type { ClientFrame, Link, LinkClosed, LinkSink, LinkTarget, Transport } from './transport.ts';

/** The part of the Web Locks API that is used (w3c.github.io/web-locks). A lock ends with its page, however that ends. */
export interface Locks {
  request(name: string, callback: () => Promise<void>): Promise<unknown>;
}

/** The part of BroadcastChannel that is used. */
export interface TabChannel {
  postMessage(message: unknown): void;
  close(): void;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
}

export interface TabTools {
  readonly locks: Locks;
  readonly open: (name: string) => TabChannel;
}

/** From a tab's link to the leading tab. */
type ToLeader =
  | { readonly from: string; readonly say: 'open'; readonly token: string | null }
  | { readonly from: string; readonly say: 'frame'; readonly frame: ClientFrame }
  | { readonly from: string; readonly say: 'close' };

/** From the leading tab to one link, or to all. */
type FromLeader =
  | { readonly to: string | null; readonly say: 'leader' }
  | { readonly to: string | null; readonly say: 'frame'; readonly frame: unknown }
  | { readonly to: string | null; readonly say: 'closed'; readonly end: LinkClosed };

/** Tabs are of one origin and run the same script: what they say to each other is what they were compiled to say. */
const isFromLeader = (value: unknown): value is FromLeader => isFields(value) && 'to' in value;
const isToLeader = (value: unknown): value is ToLeader => isFields(value) && 'from' in value;

const isLocks = (value: unknown): value is Locks => value instanceof Object && 'request' in value;
const isChannel = (value: unknown): value is new (name: string) => TabChannel => typeof value === 'function';

/** What browsers have for tabs; null where one of the two is missing. */
function browserTools(): TabTools | null {
  const navigator: unknown = Reflect.get(globalThis, 'navigator');
  const locks: unknown = navigator instanceof Object ? Reflect.get(navigator, 'locks') : null;
  const Channel: unknown = Reflect.get(globalThis, 'BroadcastChannel');
  return isLocks(locks) && isChannel(Channel) ? { locks, open: (name) => new Channel(name) } : null;
}

/**
 * One connection for all tabs of a browser: the tab that holds a lock leads, opens the real link, and passes frames on.
 * When it goes, the next one leads, and every tab resumes from its own positions, so that nothing is lost. Where tabs
 * cannot speak to each other, every one has a link of its own.
 */
export function shareTransport(real: Transport, tools: TabTools | null = browserTools()): Transport {
  if (tools === null || !real.duplex) return real;
  return {
    ...real,
    open(target, sink) {
      const name = `runcash-live ${target.base}`;
      becomeCandidate(tools, name, real, target);
      return openShared(tools, name, target, sink);
    },
  };
}

let links = 0;

function openShared(tools: TabTools, name: string, target: LinkTarget, sink: LinkSink): Link {
  links += 1;
  const from = `${Date.now().toString(36)}.${Math.random().toString(36).slice(2)}.${links}`;
  const channel = tools.open(name);
  let over = false;
  let release = (): void => undefined;
  const say = (message: ToLeader): void => channel.postMessage(message);
  const close = (): void => {
    over = true;
    channel.close();
    release();
  };
  const end = (closed: LinkClosed): void => {
    close();
    sink.closed(closed);
  };

  let greeted = false;
  channel.onmessage = ({ data }) => {
    if (over || !isFromLeader(data) || (data.to !== null && data.to !== from)) return;
    if (data.say === 'frame') {
      // Frames for all are of interest once this link was welcomed.
      greeted ||= data.to === from;
      if (greeted) sink.frame(data.frame);
    } else if (data.say === 'closed') {
      end(data.end);
    } else if (greeted) {
      end({ code: null, reason: 'another tab leads', better: true });
    } else {
      say({ from, say: 'open', token: target.token });
    }
  };
  // While this lock is held, the link lives: that is how the leading tab learns that a tab was killed.
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  tools.locks.request(`${name} ${from}`, () => {
    if (!over) say({ from, say: 'open', token: target.token });
    return held;
  });
  return {
    send: (frame) => say({ from, say: 'frame', frame }),
    close() {
      if (!over) say({ from, say: 'close' });
      close();
    },
  };
}

/** Names that this page leads, or waits to lead. */
const candidates = new WeakMap<Locks, Set<string>>();

/** Makes this page a candidate: it leads as soon as it has the lock, and until it ends. */
function becomeCandidate(tools: TabTools, name: string, real: Transport, target: LinkTarget): void {
  const names = candidates.get(tools.locks) ?? new Set<string>();
  candidates.set(tools.locks, names);
  if (names.has(name)) return;
  names.add(name);
  tools.locks.request(name, () => {
    lead(tools, name, real, target);
    // Never given back: the lock goes with the page.
    return new Promise(() => undefined);
  });
}

/** A link of some tab, as the leading tab knows it. */
interface Member {
  readonly topics: Set<string>;
}

/** A request on the real link, and whose it is. */
interface Errand {
  readonly from: string;
  readonly id: unknown;
  readonly topics: readonly string[];
}

function lead(tools: TabTools, name: string, real: Transport, { base, progress }: LinkTarget): void {
  const channel = tools.open(name);
  const members = new Map<string, Member>();
  const errands = new Map<number, Errand>();
  /** Topics that were reset: their next snapshot is for everybody. */
  const owed = new Set<string>();
  let link: Link | null = null;
  let hello: unknown = null;
  let sent = 0;
  const tell = (message: FromLeader): void => channel.postMessage(message);

  const disband = (end: LinkClosed): void => {
    link?.close();
    link = null;
    hello = null;
    errands.clear();
    owed.clear();
    members.clear();
    tell({ to: null, say: 'closed', end });
  };

  const holders = (topic: string, except: string): boolean =>
    [...members].some(([id, { topics }]) => id !== except && (topics.has(topic) || topics.has(ALL_TABLES)));

  /** Frames without an addressee are everybody's; a snapshot that one asked for is not. */
  const addressee = (frame: Readonly<Record<string, unknown>>): string | null => {
    const { topic } = frame;
    if (frame['type'] !== 'snapshot' || typeof topic !== 'string') return null;
    if (owed.delete(topic) || owed.has(ALL_TABLES)) return null;
    const [errand] = errands.values();
    return errand && (errand.topics.includes(topic) || errand.topics.some((each) => !/:\d{7}$/.test(each)))
      ? errand.from
      : null;
  };

  const pass = (frame: unknown): void => {
    if (!isFields(frame)) {
      tell({ to: null, say: 'frame', frame });
      return;
    }
    const { type, id, topic } = frame;
    const errand = typeof id === 'number' ? errands.get(id) : undefined;
    if (type === 'hello') {
      hello = frame;
      for (const to of members.keys()) tell({ to, say: 'frame', frame });
    } else if (errand && typeof id === 'number') {
      errands.delete(id);
      if (type === 'subscribed') took(errand, frame['topics']);
      tell({ to: errand.from, say: 'frame', frame: { ...frame, id: errand.id } });
    } else {
      if ((type === 'reset' || type === 'resolved') && typeof topic === 'string') owed.add(topic);
      if (type === 'resolved') resolved(frame['asked'], topic);
      if (type === 'subscribed') owed.delete(ALL_TABLES);
      tell({ to: addressee(frame), say: 'frame', frame });
    }
  };

  /** Names count too: what they come to mean later is their tabs'. */
  const took = ({ from, topics }: Errand, results: unknown): void => {
    const own = members.get(from)?.topics;
    for (const topic of topics) own?.add(topic);
    for (const result of Array.isArray(results) ? results : []) {
      const topic: unknown = isFields(result) ? result['topic'] : null;
      if (typeof topic === 'string') own?.add(topic);
    }
  };

  const resolved = (asked: unknown, topic: unknown): void => {
    if (typeof asked !== 'string' || typeof topic !== 'string') return;
    for (const { topics } of members.values()) if (topics.has(asked)) topics.add(topic);
  };

  const openReal = (token: string | null): void => {
    try {
      const mine: Link = real.open(
        { base, token, progress },
        {
          alive: () => undefined,
          frame: (frame) => mine === link && pass(frame),
          closed: (end) => mine === link && disband(end),
        },
      );
      link = mine;
    } catch (cause) {
      // As one that ended at once.
      disband({ code: null, reason: String(cause) });
    }
  };

  const request = (from: string, id: unknown, topics: readonly string[]): number => {
    sent += 1;
    errands.set(sent, { from, id, topics });
    return sent;
  };

  const leave = (from: string, topics: readonly string[], id: unknown): void => {
    const member = members.get(from);
    const mine = topics.filter((topic) => member?.topics.delete(topic));
    const others = [...members].some(([to, { topics: theirs }]) => to !== from && theirs.size > 0);
    if (mine.includes(ALL_TABLES) && others && !holders(ALL_TABLES, from)) {
      // All tables had replaced the single ones on this connection: whoever follows those resumes on another.
      disband({ code: null, reason: 'fewer tables', better: true });
      return;
    }
    const free = mine.filter((topic) => !holders(topic, from));
    if (free.length > 0) link?.send({ type: 'unsubscribe', id: request(from, id, []), topics: free });
    else if (id !== null) tell({ to: from, say: 'frame', frame: { type: 'unsubscribed', id, topics } });
  };

  const gone = (from: string): void => {
    const member = members.get(from);
    if (!member) return;
    leave(from, [...member.topics], null);
    members.delete(from);
    if (members.size > 0) return;
    link?.close();
    link = null;
    hello = null;
  };

  const join = (from: string, token: string | null): void => {
    if (members.has(from)) return;
    members.set(from, { topics: new Set() });
    // Granted when the tab lets go of it, or is no more.
    tools.locks.request(`${name} ${from}`, async () => gone(from));
    if (link === null) openReal(token);
    else if (hello !== null) tell({ to: from, say: 'frame', frame: hello });
  };

  const heard = (message: ToLeader): void => {
    const { from } = message;
    if (message.say === 'open') join(from, message.token);
    else if (message.say === 'close') gone(from);
    else if (members.has(from)) forward(from, message.frame);
  };

  const forward = (from: string, frame: ClientFrame): void => {
    switch (frame.type) {
      case 'subscribe':
        link?.send({
          ...frame,
          id: request(
            from,
            frame.id,
            frame.topics.map(({ topic }) => topic),
          ),
        });
        return;
      case 'unsubscribe':
        leave(from, frame.topics, frame.id);
        return;
      case 'ping':
        link?.send({ ...frame, id: request(from, frame.id, []) });
        return;
      case 'auth':
        link?.send(frame);
        return;
      default:
        frame satisfies never;
    }
  };

  channel.onmessage = ({ data }) => {
    if (isToLeader(data)) heard(data);
  };
  tell({ to: null, say: 'leader' });
}
