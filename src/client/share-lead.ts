import { ALL_TABLES } from '../protocol/messages.ts';
import { isFields } from './read.ts';
import { type FromLeader, isToLeader, type TabTools, tabsOf } from './tab-tools.ts';
import { type ClientRequest, type Link, type LinkClosed, type LinkSink, NOWHERE, type Transport } from './transport.ts';

/** Servers that this page or worker leads for, or waits to. */
const candidates = new WeakMap<TabTools['locks'], Set<string>>();

/** Makes this page or worker a candidate: it leads as soon as it has the lock, and until it ends. */
export function becomeCandidate(tools: TabTools, real: Transport, base: string): void {
  const bases = candidates.get(tools.locks) ?? new Set<string>();
  candidates.set(tools.locks, bases);
  if (bases.has(base)) return;
  bases.add(base);
  tools.locks.request(tabsOf(base), () => {
    lead(tools, real, base);
    // Never given back: the lock goes with the page.
    return new Promise(() => undefined);
  });
}

/** The topics of every link of the tabs, by the link. */
function createMembers() {
  const members = new Map<string, Set<string>>();
  const isHeldBesides = (from: string, topic: string): boolean =>
    [...members].some(([id, topics]) => id !== from && (topics.has(topic) || topics.has(ALL_TABLES)));
  return {
    members,
    isHeldBesides,
    /** Notes what an acknowledgement gave to a link. Names count too: what they come to mean later is their tabs'. */
    took({ from, topics }: Errand, results: unknown): void {
      const own = members.get(from);
      for (const topic of topics) own?.add(topic);
      for (const result of Array.isArray(results) ? results : []) {
        const topic: unknown = isFields(result) ? result['topic'] : null;
        if (typeof topic === 'string') own?.add(topic);
      }
    },
    /** A name came to mean a table, or one more. */
    resolved({ asked, topic }: Fields): void {
      if (typeof asked !== 'string' || typeof topic !== 'string') return;
      for (const topics of members.values()) if (topics.has(asked)) topics.add(topic);
    },
    /** Whether others follow single tables, and this link alone followed all: those had been replaced on the connection. */
    leavesSingles: (from: string): boolean =>
      !isHeldBesides(from, ALL_TABLES) && [...members].some(([id, topics]) => id !== from && topics.size > 0),
  };
}

type Fields = Readonly<Record<string, unknown>>;

/** A request on the real link, and whose it is. */
interface Errand {
  readonly from: string;
  readonly id: unknown;
  readonly topics: readonly string[];
}

/** Who a frame of the real link is for. */
function createErrands() {
  const errands = new Map<number, Errand>();
  /** Topics that were reset, or that a name came to mean: their next snapshot is for everybody. */
  const owed = new Set<string>();
  let sent = 0;
  return {
    /** The id on the real link of what a tab asks for. */
    begin(errand: Errand): number {
      sent += 1;
      errands.set(sent, errand);
      return sent;
    },
    /** Whose request a frame answers; undefined for what nobody asked for. */
    answered({ type, id }: Fields): Errand | undefined {
      if (type === 'subscribed') owed.delete(ALL_TABLES);
      const errand = typeof id === 'number' ? errands.get(id) : undefined;
      if (typeof id === 'number') errands.delete(id);
      return errand;
    },
    /** Frames without an addressee are everybody's (null); a snapshot that one asked for is not. */
    addressee({ type, topic }: Fields): string | null {
      if ((type === 'reset' || type === 'resolved') && typeof topic === 'string') owed.add(topic);
      if (type !== 'snapshot' || typeof topic !== 'string') return null;
      if (owed.delete(topic) || owed.has(ALL_TABLES)) return null;
      const [errand] = errands.values();
      return errand && (errand.topics.includes(topic) || errand.topics.some((each) => !/:\d{7}$/.test(each)))
        ? errand.from
        : null;
    },
    clear(): void {
      errands.clear();
      owed.clear();
    },
  };
}

/** The one connection to the server, opened when a tab wants it. */
function createRealLink(real: Transport, base: string, frame: (value: unknown) => void, ended: LinkSink['closed']) {
  let link: Link | null = null;
  const close = (): void => {
    link?.close();
    link = null;
  };
  return {
    close,
    send: (given: ClientRequest) => link?.send(given),
    open(token: string | null): void {
      if (link !== null) return;
      try {
        const mine: Link = real.open(
          { base, token, progress: NOWHERE },
          {
            alive: () => undefined,
            frame: (value) => mine === link && frame(value),
            closed: (end) => mine === link && ended(end),
          },
        );
        link = mine;
      } catch (cause) {
        // As one that ended at once.
        ended({ code: null, reason: String(cause) });
      }
    },
  };
}

/** Passes what tabs ask for and what comes. */
function lead(tools: TabTools, real: Transport, base: string): void {
  const name = tabsOf(base);
  const channel = tools.open(name);
  const { members, isHeldBesides, took, resolved, leavesSingles } = createMembers();
  const errands = createErrands();
  let hello: unknown = null;
  const tell = (message: FromLeader): void => channel.postMessage(message);

  const disband = (end: LinkClosed): void => {
    hello = null;
    link.close();
    errands.clear();
    members.clear();
    tell({ to: null, say: 'closed', end });
  };

  const pass = (frame: unknown): void => {
    const fields = isFields(frame) ? frame : {};
    const errand = errands.answered(fields);
    if (fields['type'] === 'hello') {
      hello = frame;
      for (const to of members.keys()) tell({ to, say: 'frame', frame });
    } else if (errand) {
      if (fields['type'] === 'subscribed') took(errand, fields['topics']);
      tell({ to: errand.from, say: 'frame', frame: { ...fields, id: errand.id } });
    } else {
      if (fields['type'] === 'resolved') resolved(fields);
      tell({ to: errands.addressee(fields), say: 'frame', frame });
    }
  };
  const link = createRealLink(real, base, pass, disband);

  const leave = (from: string, topics: readonly string[], id: unknown): void => {
    const mine = topics.filter((topic) => members.get(from)?.delete(topic));
    if (mine.includes(ALL_TABLES) && leavesSingles(from)) {
      // Whoever follows those resumes on another connection.
      disband({ code: null, reason: 'fewer tables', better: true });
      return;
    }
    const free = mine.filter((topic) => !isHeldBesides(from, topic));
    if (free.length > 0) link.send({ type: 'unsubscribe', id: errands.begin({ from, id, topics: [] }), topics: free });
    else if (id !== null) tell({ to: from, say: 'frame', frame: { type: 'unsubscribed', id, topics } });
  };

  const gone = (from: string): void => {
    leave(from, [...(members.get(from) ?? [])], null);
    if (!members.delete(from) || members.size > 0) return;
    hello = null;
    link.close();
  };

  const join = (from: string, token: string | null): void => {
    if (members.has(from)) return;
    members.set(from, new Set());
    // Granted when the tab lets go of it, or is no more.
    tools.locks.request(`${name} ${from}`, async () => gone(from));
    if (hello !== null) tell({ to: from, say: 'frame', frame: hello });
    link.open(token);
  };

  const forward = (from: string, frame: ClientRequest): void => {
    if (frame.type === 'unsubscribe') leave(from, frame.topics, frame.id);
    else if (frame.type === 'auth') link.send(frame);
    else {
      const topics = frame.type === 'subscribe' ? frame.topics.map(({ topic }) => topic) : [];
      link.send({ ...frame, id: errands.begin({ from, id: frame.id, topics }) });
    }
  };

  channel.onmessage = ({ data }) => {
    if (!isToLeader(data)) return;
    if (data.say === 'open') join(data.from, data.token);
    else if (data.say === 'close') gone(data.from);
    else if (members.has(data.from)) forward(data.from, data.frame);
  };
  tell({ to: null, say: 'leader' });
}
