import {
  type Client,
  type ClientState,
  connect,
  type LossReason,
  type Stats,
  type Subscription,
  type Table,
} from '../client/connect.ts';
import type { ServerMessage, Status, StrategyItem } from '../protocol/messages.ts';
import { tableReference } from '../protocol/topic.ts';

/** What the connection itself did, for the list of events. */
export type ConnectionNote =
  | { readonly name: 'connecting' | 'opened'; readonly transport: string }
  | { readonly name: 'lost'; readonly code: number | null; readonly reason: LossReason }
  | { readonly name: 'waiting'; readonly attempt: number; readonly ms: number }
  | { readonly name: 'doubted'; readonly reason: Extract<ClientState, { name: 'stale' }>['reason'] }
  | { readonly name: 'failed' | 'closed'; readonly reason: string }
  | { readonly name: 'offline' }
  | { readonly name: 'recovered'; readonly topic: string; readonly replayed: number }
  | { readonly name: 'missed'; readonly topic: string; readonly reason: string };

export interface LogEntry {
  readonly serial: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** A message of the server, or what happened to the connection. */
  readonly message: ServerMessage | ({ readonly type: 'connection' } & ConnectionNote);
}

export interface StrategyChange {
  readonly at: number;
  readonly estrategia: StrategyItem;
}

export interface Model {
  readonly client: Client;
  /** Base address; empty is the page's own server. */
  readonly server: string;
  /** The host of that server, to be shown. */
  readonly host: string;
  readonly tables: ReadonlyMap<string, Table>;
  readonly log: readonly LogEntry[];
  readonly status: Status | null;
  /** Milliseconds from a number's own time to its arrival here, newest last. */
  readonly latencies: readonly number[];
  readonly stats: Stats;
  readonly state: ClientState;
  /** Whether what the page shows is the truth now. */
  readonly isLive: boolean;
  /** Whether the table's newest number came live, and just now. */
  hasLanded(table: Table): boolean;
  strategyChanges(tableId: string): readonly StrategyChange[];
  /** Live events in the last minute. */
  eventsPerMinute(): number;
  /** Calls back at most once per frame of the screen, when anything changed. Returns its stop. */
  watch(draw: () => void): () => void;
  /** Follows what a reference means with its long history; null for what no table can be called. */
  follow(reference: string): Subscription | null;
  /** Asks the server over HTTP, with the token or the given key; resolves with the JSON. Throws Error. */
  ask(path: string, init?: RequestInit, key?: string): Promise<unknown>;
  /** Goes to another server, by its base address; '' is the page's own. */
  moveTo(server: string, token: string): void;
  /** Tries again at once. */
  retry(): void;
}

const MAX_LOG = 2_000;
const MAX_LATENCIES = 120;
const MAX_STRATEGY_CHANGES = 50;
const LONG_HISTORY = 200;
/** As long as the animation of a new number takes. */
const LANDING_MS = 600;
const ASK_MS = 10_000;

/** What a change of the connection's state is worth in the list. */
function notesOf(state: ClientState, before: ClientState, now: number): ConnectionNote[] {
  switch (state.name) {
    case 'live':
      return [{ name: 'opened', transport: state.transport }];
    case 'connecting':
    case 'recovering': {
      const isLost = state.name === 'recovering' && before.name !== 'recovering' && before.name !== 'offline';
      const next: ConnectionNote =
        state.retryAt === null
          ? { name: 'connecting', transport: state.transport }
          : { name: 'waiting', attempt: state.attempt, ms: state.retryAt - now };
      return isLost ? [{ name: 'lost', code: state.code, reason: state.reason }, next] : [next];
    }
    case 'stale':
      return [{ name: 'doubted', reason: state.reason }];
    case 'failed':
      return [{ name: 'failed', reason: `${state.code ?? ''} ${state.reason}`.trim() }];
    case 'offline':
      return [{ name: 'offline' }];
    case 'idle':
      return state.reason === 'unused' ? [] : [{ name: 'closed', reason: state.reason }];
    default:
      return state satisfies never;
  }
}

/** What belongs to one server, and is forgotten with it. */
interface ServerRecord {
  log: LogEntry[];
  latencies: number[];
  arrivals: number[];
  readonly landed: Map<string, { readonly id: string; readonly at: number }>;
  readonly strategies: Map<string, readonly StrategyChange[]>;
  status: Status | null;
  /** The server does not let this page hear of its tables. */
  refusal: ClientState | null;
}

const emptyRecord = (): ServerRecord => ({
  log: [],
  latencies: [],
  arrivals: [],
  landed: new Map(),
  strategies: new Map(),
  status: null,
  refusal: null,
});

export function createModel(server: string, token: string): Model {
  const watchers = new Set<() => void>();
  let frame = 0;
  let serial = 0;
  let record = emptyRecord();
  let secret = token;
  let at = server;
  let tables: ReadonlyMap<string, Table> | null = null;

  const changed = (): void => {
    tables = null;
    // Everything that comes within one frame of the screen is drawn once.
    if (frame !== 0) return;
    frame = requestAnimationFrame(() => {
      frame = 0;
      for (const draw of [...watchers]) draw();
    });
  };

  const enter = (message: LogEntry['message']): void => {
    serial += 1;
    record.log.push({ serial, at: Date.now(), message });
    if (record.log.length > MAX_LOG * 1.2) record.log = record.log.slice(-MAX_LOG);
    changed();
  };
  const note = (what: ConnectionNote): void => enter({ type: 'connection', ...what });

  const open = (): Client => {
    const opened = connect(at === '' ? location.origin : at, secret === '' ? {} : { token: secret });
    opened.listen('state', (state, before) => {
      for (const what of notesOf(state, before, Date.now())) note(what);
      changed();
    });
    opened.listen('status', (status) => {
      record.status = status;
    });
    opened.listen('error', (error) => console.warn(`${error.code}: ${error.message}`));
    opened.listen('message', enter);
    opened.subscribe('*', {
      onNumber({ roleta_id, id, timestamp }) {
        const now = Date.now();
        record.arrivals.push(now);
        record.latencies = [...record.latencies, now - Date.parse(timestamp)].slice(-MAX_LATENCIES);
        record.landed.set(roleta_id, { id, at: now });
      },
      onStrategy(event) {
        const now = Date.now();
        record.arrivals.push(now);
        const kept = record.strategies.get(event.roleta_id) ?? [];
        record.strategies.set(
          event.roleta_id,
          [{ at: now, estrategia: event }, ...kept].slice(0, MAX_STRATEGY_CHANGES),
        );
      },
      onRecovered: ({ topic, replayed }) => note({ name: 'recovered', topic, replayed }),
      onLost: ({ topic, reason }) => note({ name: 'missed', topic, reason }),
      onTable: changed,
      onError(error) {
        const code = error.code === 'unauthorized' ? 401 : error.code === 'forbidden' ? 403 : null;
        record.refusal = { name: 'failed', code, reason: error.message };
        note({ name: 'failed', reason: error.message });
      },
    });
    return opened;
  };

  let client = open();

  const moveTo = (address: string, given: string): void => {
    client.close();
    at = address;
    secret = given;
    record = emptyRecord();
    client = open();
    changed();
  };

  return {
    get client() {
      return client;
    },
    get server() {
      return at;
    },
    get host() {
      return new URL(at === '' ? location.origin : at).host;
    },
    get tables() {
      tables ??= client.tables;
      return tables;
    },
    get log() {
      return record.log;
    },
    get status() {
      return record.status;
    },
    get latencies() {
      return record.latencies;
    },
    get stats() {
      return client.stats;
    },
    get state() {
      return record.refusal ?? client.state;
    },
    get isLive() {
      return record.refusal === null && client.state.name === 'live';
    },
    hasLanded({ id, numeros }) {
      const landed = record.landed.get(id);
      return landed !== undefined && landed.id === numeros[0]?.id && Date.now() - landed.at < LANDING_MS;
    },
    strategyChanges: (id) => record.strategies.get(id) ?? [],
    eventsPerMinute() {
      const since = Date.now() - 60_000;
      record.arrivals = record.arrivals.filter((arrival) => arrival > since);
      return record.arrivals.length;
    },
    watch(draw) {
      watchers.add(draw);
      return () => watchers.delete(draw);
    },
    follow: (reference) =>
      tableReference(`roulette:${reference}`) === null
        ? null
        : client.subscribe(`roulette:${reference}`, {
            history: LONG_HISTORY,
            onTable: changed,
            // The view says that there is no such table.
            onError: changed,
          }),
    async ask(path, init = {}, key = secret) {
      const response = await fetch(at + path, {
        ...init,
        headers: {
          accept: 'application/json',
          ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
        },
        signal: AbortSignal.timeout(ASK_MS),
        cache: 'no-store',
      });
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      return await response.json();
    },
    moveTo,
    retry() {
      // A subscription that was refused is over; only a new one asks again.
      if (record.refusal === null) client.retry();
      else moveTo(at, secret);
    },
  };
}
