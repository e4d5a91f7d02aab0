import { type Client, type ClientState, connect, type Stats, type Table } from '../client/connect.ts';
import type { ServerMessage, Status, StrategyItem } from '../protocol/messages.ts';

export interface LogEntry {
  readonly serial: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly message: ServerMessage;
}

export interface StrategyChange {
  readonly at: number;
  readonly estrategia: StrategyItem;
}

/** What changed since the last frame of the screen. */
export interface Changes {
  /** Tables that look different. */
  readonly tables: ReadonlySet<string>;
  /** Tables that got a live number: the only ones that may be animated. */
  readonly landed: ReadonlySet<string>;
  readonly state: boolean;
  readonly log: boolean;
  /** The server is another one. */
  readonly moved: boolean;
}

export interface Model {
  readonly client: Client;
  /** Base address, as typed; empty is the page's own server. */
  readonly server: string;
  readonly tables: ReadonlyMap<string, Table>;
  readonly log: readonly LogEntry[];
  readonly status: Status | null;
  /** Milliseconds from a number's own time to its arrival here, newest last. */
  readonly latencies: readonly number[];
  readonly stats: Stats;
  readonly state: ClientState;
  strategyChanges(tableId: string): readonly StrategyChange[];
  /** Live events in the last minute. */
  eventsPerMinute(): number;
  /** Calls back at most once per frame of the screen. Returns its stop. */
  watch(draw: (changes: Changes) => void): () => void;
  /** Asks for the long history of one table until the returned function is called. */
  deepen(tableId: string): () => void;
  /** Goes to another server. Throws ClientError `bad_url`, and stays where it was. */
  moveTo(server: string, token: string): void;
}

const MAX_LOG = 2_000;
const MAX_LATENCIES = 120;
const MAX_STRATEGY_CHANGES = 50;
const LONG_HISTORY = 200;

export function createModel(server: string, token: string): Model {
  const watchers = new Set<(changes: Changes) => void>();
  const nothing = () => ({
    tables: new Set<string>(),
    landed: new Set<string>(),
    state: false,
    log: false,
    moved: false,
  });
  let changed = nothing();
  let frame = 0;
  let serial = 0;
  let log: LogEntry[] = [];
  let latencies: number[] = [];
  let arrivals: number[] = [];
  let strategies = new Map<string, StrategyChange[]>();
  let status: Status | null = null;
  let at = server;
  let tables: ReadonlyMap<string, Table> | null = null;

  const soon = (): void => {
    tables = null;
    if (frame !== 0) return;
    // Everything that comes within one frame of the screen is drawn once.
    frame = requestAnimationFrame(() => {
      frame = 0;
      const now = changed;
      changed = nothing();
      for (const draw of [...watchers]) draw(now);
    });
  };

  const touch = (id: string): void => {
    changed.tables.add(id);
    soon();
  };

  const open = (address: string, secret: string): Client => {
    const opened = connect(address === '' ? location.origin : address, secret === '' ? {} : { token: secret });
    opened.listen('state', () => {
      changed.state = true;
      soon();
    });
    opened.listen('status', (notice) => {
      status = notice;
      changed.state = true;
      for (const id of opened.tables.keys()) changed.tables.add(id);
      soon();
    });
    opened.listen('error', (error) => console.warn(`${error.code}: ${error.message}`));
    opened.listen('message', (message) => {
      serial += 1;
      log.push({ serial, at: Date.now(), message });
      if (log.length > MAX_LOG * 1.2) log = log.slice(-MAX_LOG);
      changed.log = true;
      soon();
    });
    opened.subscribe('*', {
      onNumber(event) {
        const now = Date.now();
        arrivals.push(now);
        latencies.push(now - Date.parse(event.timestamp));
        if (latencies.length > MAX_LATENCIES) latencies = latencies.slice(-MAX_LATENCIES);
        changed.landed.add(event.roleta_id);
        touch(event.roleta_id);
      },
      onCorrected: (event) => touch(event.roleta_id),
      onRemoved: (event) => touch(event.roleta_id),
      onStrategy(event) {
        arrivals.push(Date.now());
        const kept = strategies.get(event.roleta_id) ?? [];
        kept.unshift({ at: Date.now(), estrategia: event });
        strategies.set(event.roleta_id, kept.slice(0, MAX_STRATEGY_CHANGES));
        touch(event.roleta_id);
      },
      onSnapshot: (table) => touch(table.id),
      onReset: (_reset, table) => {
        if (table) touch(table.id);
      },
    });
    return opened;
  };

  let client = open(server, token);

  return {
    get client() {
      return client;
    },
    get server() {
      return at;
    },
    get tables() {
      tables ??= client.tables;
      return tables;
    },
    get log() {
      return log;
    },
    get status() {
      return status;
    },
    get latencies() {
      return latencies;
    },
    get stats() {
      return client.stats;
    },
    get state() {
      return client.state;
    },
    strategyChanges: (id) => strategies.get(id) ?? [],
    eventsPerMinute() {
      const since = Date.now() - 60_000;
      arrivals = arrivals.filter((arrival) => arrival > since);
      return arrivals.length;
    },
    watch(draw) {
      watchers.add(draw);
      return () => watchers.delete(draw);
    },
    deepen(id) {
      const subscription = client.subscribe(`roulette:${id}`, {
        history: LONG_HISTORY,
        onSnapshot: () => touch(id),
      });
      return subscription.unsubscribe;
    },
    moveTo(address, secret) {
      const next = open(address, secret);
      client.close();
      client = next;
      at = address;
      log = [];
      latencies = [];
      arrivals = [];
      strategies = new Map();
      status = null;
      changed.state = true;
      changed.log = true;
      changed.moved = true;
      soon();
    },
  };
}
