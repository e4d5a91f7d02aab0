import { ALL_TABLES, topicOf } from '../../src/protocol/messages.ts';

/** A message as it came over the wire. */
export type Message = Readonly<Record<string, unknown>>;

/** One topic of a subscribe, as a client writes it. */
export interface Ask {
  readonly topic: string;
  readonly after?: string;
  readonly history?: number;
  readonly epoch?: string;
  readonly owed?: boolean;
}

export interface SubscribeRequest {
  readonly topics: Ask[];
  readonly seen?: string;
  readonly epoch?: string;
}

/** What a follower knows of one table. Empty texts are "nothing". */
export interface TableView {
  /** Where it resumes. */
  position: string;
  /** Events at or below are inside its snapshot. */
  mark: string;
  owed: boolean;
  epoch: string;
  /** Ids of the numbers that it knows, from snapshots and events, with their value. */
  readonly numbers: Map<string, number>;
  /** Ids that came as `new_number`, in their order. */
  readonly events: string[];
  readonly delivered: Set<string>;
  /** Ids that were removed. */
  readonly removed: Set<string>;
  /** Ids of numbers that were corrected, maybe in their time. */
  readonly corrected: Set<string>;
  strategy: string;
  strategies: number;
  hasSnapshot: boolean;
  /** The oldest number of its newest snapshot when that was full, so that older ones were not shown; '' otherwise. */
  horizon: string;
}

/** What a correct client must never see, in words; empty when all is well. */
export interface Follower {
  readonly name: string;
  /** The tables it asks for; null is `roulette:*`. */
  readonly wanted: readonly string[] | null;
  readonly tables: ReadonlyMap<string, TableView>;
  readonly problems: readonly string[];
  readonly resets: readonly string[];
  /** How each topic was taken up, over all connections. */
  readonly recoveries: readonly Message[];
  readonly acknowledged: boolean;
  /** What to ask a server that it connects to. */
  request(): SubscribeRequest;
  receive(message: Message): void;
  /** The connection is gone. */
  cut(): void;
}

const max = (a: string, b: string): string => (a > b ? a : b);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Numbers that a snapshot carries when asked for a single table; for one of all, and after a reset. */
const HISTORY = 200;
const HISTORY_OF_ALL = 20;

/** A client by the book: a position per topic, drop marks, debts, epochs, the highest position seen. */
export function createFollower(name: string, wanted: readonly string[] | null): Follower {
  const tables = new Map<string, TableView>();
  const problems: string[] = [];
  const resets: string[] = [];
  const recoveries: Message[] = [];
  let epoch = '';
  let all = { position: '', epoch: '' };
  let pending = false;
  let acknowledged = false;
  let forgetting = false;

  const problem = (words: string): void => {
    if (problems.length < 50) problems.push(`${name}: ${words}`);
  };
  const viewOf = (table: string): TableView => {
    const found = tables.get(table);
    if (found !== undefined) return found;
    const created: TableView = {
      position: '',
      mark: '',
      owed: false,
      epoch: '',
      numbers: new Map(),
      events: [],
      delivered: new Set(),
      removed: new Set(),
      corrected: new Set(),
      strategy: 'null',
      strategies: 0,
      hasSnapshot: false,
      horizon: '',
    };
    tables.set(table, created);
    return created;
  };
  const tableOf = (message: Message): string => text(message['topic']).slice('roulette:'.length);
  const lowest = (): string => [...tables.values()].map((view) => view.position).sort()[0] ?? '';
  const isOwed = (): boolean => [...tables.values()].some((view) => view.owed);

  const onSnapshot = (message: Message): void => {
    const view = viewOf(tableOf(message));
    const position = text(message['position']);
    const at = text(message['epoch']);
    const items = Array.isArray(message['numeros']) ? message['numeros'] : [];
    view.numbers.clear();
    for (const item of items) view.numbers.set(text(item?.id), Number(item?.numero));
    const room = pending && wanted !== null ? HISTORY : HISTORY_OF_ALL;
    view.horizon = items.length < room ? '' : text(items.at(-1)?.id);
    view.strategy = JSON.stringify(message['estrategia'] ?? null);
    view.hasSnapshot = true;
    if (pending) {
      view.owed = false;
      if (at !== view.epoch || position < view.position) {
        view.position = '';
        view.epoch = at;
        all.position = '';
      }
    } else {
      view.owed = false;
      view.position = position;
      view.epoch = at;
      if (!isOwed()) all = { position: lowest(), epoch: at };
    }
    view.mark = position;
  };

  const onEvent = (message: Message): void => {
    const table = tableOf(message);
    const view = viewOf(table);
    const position = text(message['position']);
    const known = max(view.position, view.mark);
    if (position <= known) return;
    // A table that is first heard of by an event had nothing before: `prev` says so.
    if (!view.hasSnapshot && (wanted !== null || text(message['prev']) !== '')) {
      problem(`event ${position} of ${table} before any snapshot`);
    }
    const prev = text(message['prev']);
    if (prev > known && !view.owed) problem(`hole at ${table}: ${position} follows ${prev}, has ${known}`);
    const id = text(message['id']);
    switch (message['type']) {
      case 'new_number':
        if (view.numbers.has(id)) problem(`number ${id} of ${table} twice, at ${position}`);
        view.numbers.set(id, Number(message['numero']));
        view.events.push(id);
        view.delivered.add(id);
        break;
      case 'number_corrected':
        view.numbers.set(id, Number(message['numero']));
        view.corrected.add(id);
        break;
      case 'number_removed':
        view.numbers.delete(id);
        view.removed.add(id);
        break;
      case 'strategy_update': {
        const { type: _t, topic: _o, position: _p, prev: _r, roleta_id: _i, roleta_nome: _n, ...state } = message;
        view.strategy = JSON.stringify(state);
        view.strategies++;
        break;
      }
      default:
        problem(`unknown event ${String(message['type'])}`);
    }
    view.hasSnapshot = true;
    view.position = position;
    if (view.epoch === '') view.epoch = epoch;
    if (acknowledged && !pending) all.position = position;
  };

  const move = (position: string, acked: boolean): void => {
    for (const view of tables.values()) {
      if (acked) view.epoch = epoch;
      if (acked || position > view.position) view.position = position;
    }
    all = { position: acked ? position : max(all.position, position), epoch };
  };

  return {
    name,
    wanted,
    tables,
    problems,
    resets,
    recoveries,
    get acknowledged() {
      return acknowledged;
    },
    request() {
      let seen = '';
      let seenEpoch = epoch;
      for (const view of tables.values()) {
        if (max(view.position, view.mark) <= seen) continue;
        seen = max(view.position, view.mark);
        seenEpoch = view.epoch;
      }
      const ask = (topic: string, at: { position: string; epoch: string }, owed: boolean, history: number): Ask =>
        at.position === ''
          ? { topic, history }
          : { topic, history, after: at.position, epoch: at.epoch, ...(owed ? { owed } : {}) };
      const topics =
        wanted === null
          ? [ask(ALL_TABLES, all, isOwed(), HISTORY_OF_ALL)]
          : wanted.map((table) => ask(topicOf(table), viewOf(table), viewOf(table).owed, HISTORY));
      pending = true;
      acknowledged = false;
      return seen === '' ? { topics } : { topics, seen, epoch: seenEpoch };
    },
    receive(message) {
      switch (message['type']) {
        case 'snapshot':
          onSnapshot(message);
          break;
        case 'reset':
          resets.push(`${text(message['topic'])} ${text(message['reason'])}`);
          if (message['topic'] === ALL_TABLES) {
            for (const [table, view] of tables) {
              // One that was shown to be empty may be no more, and then nothing of it follows.
              if (!pending && view.numbers.size === 0 && view.strategy === 'null') tables.delete(table);
              else view.owed = true;
            }
            forgetting = pending;
          } else viewOf(tableOf(message)).owed = true;
          break;
        case 'subscribed':
          pending = false;
          acknowledged = true;
          epoch = text(message['epoch']);
          // Told to forget everything, and shown all that there is: what was not shown is no more.
          if (forgetting) for (const [table, view] of tables) if (view.owed) tables.delete(table);
          forgetting = false;
          if (Array.isArray(message['topics'])) recoveries.push(...message['topics']);
          move(text(message['position']), true);
          break;
        case 'sync':
          if (!pending) move(text(message['position']), false);
          break;
        case 'new_number':
        case 'number_corrected':
        case 'number_removed':
        case 'strategy_update':
          onEvent(message);
          break;
        case 'error':
          problem(`error ${JSON.stringify(message)}`);
          break;
        default:
          break;
      }
    },
    cut() {
      pending = false;
      forgetting = false;
    },
  };
}
