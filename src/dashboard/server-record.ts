import { type Client, type ClientState, connect, type Handlers, type Table } from '../client/connect.ts';
import type { ServerMessage, Status, StrategyItem } from '../protocol/messages.ts';
import { type ConnectionNote, notesOf } from './connection-note.ts';

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

/** What came from one server while the page follows it, and is forgotten with it. */
export interface ServerRecord {
  readonly log: readonly LogEntry[];
  readonly status: Status | null;
  /** Milliseconds from a number's own time to its arrival here, newest last. */
  readonly latencies: readonly number[];
  /** So much later this device's clock is than the tables' ones, milliseconds; 0 for what scrapers' clocks explain too. */
  readonly clockAheadMs: number;
  /** Why the server does not let this page hear of its tables; null while it does. */
  readonly refusal: ClientState | null;
  /** Whether the table's newest number came live, and just now. */
  hasLanded(table: Table): boolean;
  strategyChanges(tableId: string): readonly StrategyChange[];
  /** Live events in the last minute. */
  eventsPerMinute(): number;
}

const MAX_LOG = 2_000;
const MAX_LATENCIES = 120;
const MAX_STRATEGY_CHANGES = 50;
/** Numbers of one table with a wrong clock say nothing of this device's; what all tables together say does. */
const CLOCKS_DIFFER_MS = 60_000;
/** Longer than the animation of a new number takes: a frame that comes late shows it too. */
const LANDING_MS = 2_000;

/** Entries are told apart by their serials, also across servers. */
let serial = 0;

/** Connects and keeps what comes; `token` is '' for none. `changed` is called after whatever may be drawn. */
export function followServer(
  address: string,
  token: string,
  changed: () => void,
): { readonly client: Client; readonly record: ServerRecord } {
  const client = connect(address, token === '' ? {} : { token });
  const kept = createRecord(changed);
  client.listen('state', (state, before) => {
    for (const what of notesOf(state, before, Date.now())) kept.note(what);
    changed();
  });
  client.listen('status', (status) => {
    kept.record.status = status;
  });
  client.listen('error', (error) => console.warn(`${error.code}: ${error.message}`));
  client.listen('message', kept.enter);
  client.subscribe('*', kept.listeners);
  return { client, record: kept.record };
}

/**
 * What clocks differ by, from the milliseconds that numbers seemed to take: the one nearest to zero, where it is long. A
 * wrong clock of this device shifts all of them; numbers that are replayed after a gap are old, but recent ones follow.
 */
function clockAhead(latencies: readonly number[]): number {
  const nearest = latencies.reduce((a, b) => (Math.abs(b) < Math.abs(a) ? b : a), latencies[0] ?? 0);
  return Math.abs(nearest) < CLOCKS_DIFFER_MS ? 0 : nearest;
}

/** `changed` is called after whatever may be drawn. */
export function createRecord(changed: () => void) {
  const landed = new Map<string, { readonly id: string; readonly at: number }>();
  const strategies = new Map<string, readonly StrategyChange[]>();
  let arrivals: number[] = [];

  const record = {
    log: [] as LogEntry[],
    status: null as Status | null,
    latencies: [] as readonly number[],
    clockAheadMs: 0,
    refusal: null as ClientState | null,
    hasLanded({ id, numeros }: Table): boolean {
      const last = landed.get(id);
      return last !== undefined && last.id === numeros[0]?.id && Date.now() - last.at < LANDING_MS;
    },
    strategyChanges: (id: string): readonly StrategyChange[] => strategies.get(id) ?? [],
    eventsPerMinute(): number {
      const since = Date.now() - 60_000;
      arrivals = arrivals.filter((arrival) => arrival > since);
      return arrivals.length;
    },
  };

  const enter = (message: LogEntry['message']): void => {
    serial += 1;
    record.log.push({ serial, at: Date.now(), message });
    if (record.log.length > MAX_LOG * 1.2) record.log = record.log.slice(-MAX_LOG);
    changed();
  };
  const note = (what: ConnectionNote): void => enter({ type: 'connection', ...what });

  const listeners: Handlers = {
    onNumber({ roleta_id, id, timestamp }) {
      const at = Date.now();
      arrivals.push(at);
      record.latencies = [...record.latencies, at - Date.parse(timestamp)].slice(-MAX_LATENCIES);
      record.clockAheadMs = clockAhead(record.latencies);
      landed.set(roleta_id, { id, at });
    },
    onStrategy(estrategia) {
      const at = Date.now();
      arrivals.push(at);
      const before = strategies.get(estrategia.roleta_id) ?? [];
      strategies.set(estrategia.roleta_id, [{ at, estrategia }, ...before].slice(0, MAX_STRATEGY_CHANGES));
    },
    onRecovered: ({ topic, replayed }) => note({ name: 'recovered', topic, replayed }),
    onLost: ({ topic, reason }) => note({ name: 'missed', topic, reason }),
    onTable: changed,
    onError({ code, message: reason }) {
      record.refusal = { name: 'failed', code: REFUSALS.get(code) ?? null, reason };
      note({ name: 'failed', reason });
    },
  };
  return { record, enter, note, listeners };
}

/** What a refused subscription would have been as an HTTP status. */
const REFUSALS: ReadonlyMap<string, number> = new Map([
  ['unauthorized', 401],
  ['forbidden', 403],
]);
