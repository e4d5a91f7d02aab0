import type { Client, ClientState, Stats, Subscription, Table } from '../client/connect.ts';
import { tableReference } from '../protocol/messages.ts';
import { followServer, type ServerRecord } from './server-record.ts';
import { BLOCKED, StatusError } from './trust.ts';

/** The server that the page follows now, what came from it, and where it is. */
export interface Model {
  readonly client: Client;
  readonly record: ServerRecord;
  /** Base address; empty is the page's own server. */
  readonly server: string;
  /** Whether it is asked with a token. */
  readonly hasToken: boolean;
  /** The host of that server, to be shown. */
  readonly host: string;
  readonly tables: ReadonlyMap<string, Table>;
  readonly stats: Stats;
  readonly state: ClientState;
  /** Whether what the page shows is the truth now. */
  readonly isLive: boolean;
  /** The time by the clocks of the tables, milliseconds since 1970: this device's own may be wrong. */
  now(): number;
  /** Calls back at most once per frame of the screen, when anything changed. Returns its stop. */
  watch(draw: () => void): () => void;
  /** Follows what a reference means with its long history; null for what no table can be called. */
  follow(reference: string): Subscription | null;
  /** Asks the server over HTTP, with the token or the given key; resolves with the JSON. Rejects with StatusError, or what fetch does. */
  ask(path: string, init?: RequestInit, key?: string): Promise<unknown>;
  /** Goes to another server, by its base address; '' is the page's own. */
  moveTo(server: string, token: string): void;
  /** Tries again at once. */
  retry(): void;
}

const LONG_HISTORY = 200;
const ASK_MS = 10_000;

/** Everything that comes within one frame of the screen is drawn once. */
function createFrames() {
  const watchers = new Set<() => void>();
  let frame = 0;
  return {
    request(): void {
      if (frame !== 0) return;
      frame = requestAnimationFrame(() => {
        frame = 0;
        for (const draw of [...watchers]) draw();
      });
    },
    watch(draw: () => void): () => void {
      watchers.add(draw);
      return () => watchers.delete(draw);
    },
  };
}

/** The hosts that this page's policy does not let it ask, as they are met. */
function blockedHosts(changed: () => void): ReadonlySet<string> {
  const hosts = new Set<string>();
  document.addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) => {
    if (effectiveDirective !== 'connect-src' || !URL.canParse(blockedURI)) return;
    hosts.add(new URL(blockedURI).host);
    changed();
  });
  return hosts;
}

const hostOf = (server: string): string => new URL(server === '' ? location.origin : server).host;

async function askOver(address: string, init: RequestInit, key: string): Promise<unknown> {
  const response = await fetch(address, {
    ...init,
    headers: {
      accept: 'application/json',
      ...(init.body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
    },
    signal: AbortSignal.timeout(ASK_MS),
    cache: 'no-store',
  });
  if (!response.ok) throw new StatusError(response.status);
  return await response.json();
}

/** Follows a server by its base address, '' for the page's own, with a token, '' for none. */
export function createModel(server: string, token: string): Model {
  const frames = createFrames();
  let tables: ReadonlyMap<string, Table> | null = null;
  const changed = (): void => {
    tables = null;
    frames.request();
  };
  const blocked = blockedHosts(changed);
  const open = (at: string, secret: string) => ({
    at,
    secret,
    ...followServer(at === '' ? location.origin : at, secret, changed),
  });
  let now = open(server, token);

  const moveTo = (address: string, given: string): void => {
    now.client.close();
    now = open(address, given);
    changed();
  };

  return {
    get client() {
      return now.client;
    },
    get server() {
      return now.at;
    },
    get hasToken() {
      return now.secret !== '';
    },
    get host() {
      return hostOf(now.at);
    },
    get tables() {
      tables ??= now.client.tables;
      return tables;
    },
    get record() {
      return now.record;
    },
    get stats() {
      return now.client.stats;
    },
    now: () => Date.now() - now.record.clockAheadMs,
    get state(): ClientState {
      if (blocked.has(hostOf(now.at))) return { name: 'failed', code: null, reason: BLOCKED };
      return now.record.refusal ?? now.client.state;
    },
    get isLive() {
      return now.record.refusal === null && now.client.state.name === 'live';
    },
    watch: frames.watch,
    follow: (reference) => followIn(now.client, reference, changed),
    ask: (path, init = {}, key = now.secret) => askOver(now.at + path, init, key),
    moveTo,
    retry() {
      // A subscription that was refused is over; only a new one asks again.
      if (now.record.refusal === null) now.client.retry();
      else moveTo(now.at, now.secret);
    },
  };
}

const followIn = (client: Client, reference: string, changed: () => void): Subscription | null =>
  tableReference(`roulette:${reference}`) === null
    ? null
    : client.subscribe(`roulette:${reference}`, {
        history: LONG_HISTORY,
        onTable: changed,
        // The view says that there is no such table.
        onError: changed,
      });
