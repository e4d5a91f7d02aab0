import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../log/log.ts';
import type { Delivery, Publish } from '../protocol/delivery.ts';
import type { Grant } from './door/access.ts';
import { addressOfBytes, trustedProxies } from './door/address.ts';
import { createAdmission, retryDelay } from './door/admission.ts';
import { createArrivals } from './door/arrival.ts';
import { count, type GatewayCounters, newCounters } from './door/counters.ts';
import { createDoor } from './door/door.ts';
import { createAuthenticator } from './door/jwt.ts';
import { createSockets, type Sockets } from './door/sockets.ts';
import type { RegisterRoutes } from './http/routes.ts';
import { type Connections, createConnections, responseDeal, spreadCloses } from './live/connections.ts';
import { createFanout } from './live/fanout.ts';
import type { GatewayParts } from './live/parts.ts';
import { servePoll } from './live/poll.ts';
import { createReplayBudget } from './live/replay-budget.ts';
import { serveEvents } from './live/sse.ts';
import { serveWebsocket } from './live/websocket.ts';
import { chooseNetwork, type NetworkName, SPARE_COSTS } from './network/choose.ts';
import type { NetworkApp, Tell } from './network/network.ts';
import type { GatewayOptions } from './options.ts';

/** What the gateway is handed: who delivers, the other HTTP routes, where to log. */
export interface GatewayDeps {
  readonly delivery: Delivery;
  /** Transports of other rooms, which carry what `/ws` does to clients of another protocol. */
  readonly transports?: readonly ((app: NetworkApp, parts: GatewayParts) => void)[];
  /** Registered after `/ws`, `/events` and `/poll`, in their order. */
  readonly routes: readonly RegisterRoutes[];
  readonly log: Log;
  /** Throws ProtocolError for a grant that is not accepted any more, though its token is valid. */
  readonly checkGrant?: (grant: Grant) => void;
  /** The known tables of a UUID, for tokens that name tables so. */
  readonly resolve?: (reference: string) => readonly string[];
  /** Resolves when the routes have answered everything that they took up: a drain waits for it, within its time. */
  readonly settled?: () => Promise<void>;
  /** What is counted, for whoever wants to see it from outside; its own unless given. */
  readonly counters?: GatewayCounters;
  /** The open connections of all transports, for whoever shows or ends them from outside; its own unless given. */
  readonly connections?: Connections;
  /** Monotonic milliseconds and milliseconds since 1970, where not the process's own. */
  readonly now?: () => number;
  readonly clock?: () => number;
}

/** A running gateway. */
export interface Gateway {
  /** The port that it listens on. */
  readonly port: number;
  /** Fans a frame out to a topic's connections. */
  readonly publish: Publish;
  /**
   * Takes no more connections and closes the open ones spread over the time, each with `bye` and 4200; what is left
   * half a second later is cut. Then everything is closed.
   */
  drain(seconds: number): Promise<void>;
  /** Closes everything now. Safe to call twice, also while draining. */
  stop(): Promise<void>;
  /** True once `drain` or `stop` was called: `/readyz` answers 503 then. */
  draining(): boolean;
  counters(): Readonly<GatewayCounters>;
}

/** Waits for something, but no longer than this. */
async function within(awaited: Promise<void>, ms: number): Promise<void> {
  const over = new AbortController();
  const late = delay(ms, undefined, { signal: over.signal }).catch((error: unknown) => {
    if (!over.signal.aborted) throw error;
  });
  await Promise.race([awaited, late]);
  over.abort();
}

/** How long connections that were told to close may take for it. */
const FAREWELL_MS = 500;

/** Closing the app resets connections, and with them what their readers have not taken from the system yet. */
const LINGER_MS = 100;

/** Descriptors that the process needs besides connections: database, files, listening sockets. */
const OTHER_DESCRIPTORS = 200;

/** How many connections the descriptor limit leaves room for (Linux); null where that cannot be known. */
function connectionsByDescriptors(): number | null {
  let limits: string;
  try {
    limits = readFileSync('/proc/self/limits', 'utf8');
  } catch {
    // No procfs: macOS, Windows. Only the configured cap counts there.
    return null;
  }
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? null : Math.max(1, Number(soft) - OTHER_DESCRIPTORS);
}

/** Caps connections below the descriptor limit, since a process without descriptors can neither accept nor log. */
function fitToDescriptors(options: GatewayOptions, log: Log): GatewayOptions {
  const room = connectionsByDescriptors();
  if (room === null || room >= options.maxConnections) return options;
  log.warn('connections_capped_by_descriptors', { wanted: options.maxConnections, cap: room });
  return { ...options, maxConnections: room };
}

/** Of the last connections that fit, so many answer only what operators ask. */
const RESERVED = 32;

/** Connections of plain HTTP beside the subscribers': as many for each address, and for all what descriptors allow. */
function socketsOf(options: GatewayOptions, { open }: GatewayCounters, started: number): Sockets {
  const room = connectionsByDescriptors() ?? Number.POSITIVE_INFINITY;
  const all = Math.min(room, 2 * options.maxConnections + RESERVED);
  const limits = {
    perAddress: options.maxConnectionsPerAddress,
    all,
    beside: open,
    reserved: Math.min(RESERVED, Math.ceil(all / 10)),
  };
  return createSockets(limits, trustedProxies(options.trustedProxies), started);
}

/** Cuts connections that are too many before they ask anything. */
function watchConnections(app: NetworkApp, { sockets, counters, options, log }: GatewayParts): void {
  const tell: Tell = (connection, change) => {
    if (change < 0) {
      sockets.closed();
      return;
    }
    const address = addressOfBytes(new Uint8Array(connection.getRemoteAddress()));
    const reason = sockets.opened(address, options.dryRun);
    if (reason === null) return;
    count(options.dryRun ? counters.passed : counters.refused, reason);
    log.warn('connection_cut', { address: address.text, reason });
    if (!options.dryRun) connection.close();
  };
  app.filter(tell);
}

/** What changes once in a gateway's life, each to true and never back. */
interface Phase {
  draining: boolean;
  closed: boolean;
}

function createParts(app: NetworkApp, options: GatewayOptions, deps: GatewayDeps, network: NetworkName, phase: Phase) {
  const { log, delivery } = deps;
  const now = deps.now ?? ((): number => performance.now());
  const counters = deps.counters ?? newCounters(network);
  counters.network = network;
  const admission = createAdmission(options, counters, now());
  const connections = deps.connections ?? createConnections();
  const takes = { ready: () => delivery.reached() !== null, draining: () => phase.draining };
  const sockets = socketsOf(options, counters, now());
  const arrivals = createArrivals(options, log, sockets, () => {
    counters.untrustedForwards += 1;
  });
  const parts: GatewayParts = {
    options,
    delivery,
    sockets,
    arrivals,
    door: createDoor(arrivals, options, admission, takes, counters, log, now),
    authenticator:
      options.auth.mode === 'none'
        ? null
        : createAuthenticator(options.auth, deps.resolve ?? (() => []), log, now, deps.checkGrant),
    admission,
    connections,
    responses: connections.group(responseDeal),
    fanout: createFanout(app, delivery.hearing, counters),
    replayBudget: createReplayBudget(options.replayBytesPerSecond, now),
    counters,
    log,
    now,
    clock: deps.clock ?? Date.now,
    failure(where, error) {
      counters.failures += 1;
      log.error('callback_failed', {
        where,
        error: error instanceof Error ? (error.stack ?? error.message) : String(error),
      });
    },
  };
  return parts;
}

function serveAll(app: NetworkApp, parts: GatewayParts, deps: GatewayDeps): void {
  serveWebsocket(app, parts);
  serveEvents(app, parts);
  servePoll(app, parts);
  for (const serve of deps.transports ?? []) serve(app, parts);
  for (const register of deps.routes) register(app, parts.authenticator, parts.arrivals);
  watchConnections(app, parts);
}

/** Looks at the deadlines of all connections. */
function startSweep({ connections, admission, sockets, options, log, now, failure }: GatewayParts): NodeJS.Timeout {
  return setInterval(() => {
    try {
      connections.tick(now());
      admission.sweep(now());
      for (const address of sockets.sweep(now())) log.warn('requests_unreadable', { address });
    } catch (error) {
      failure('sweep', error);
    }
  }, options.sweepMs);
}

/**
 * Starts listening. Rejects with GatewayConfigError when the network cannot be what the options want, or with
 * GatewayStartError when the port cannot be had; nothing is left open then.
 */
export async function startGateway(wanted: GatewayOptions, deps: GatewayDeps): Promise<Gateway> {
  const options = fitToDescriptors(wanted, deps.log);
  const network = await chooseNetwork(options.network);
  if (network.missing !== null) deps.log.warn('network_spare', { reason: network.missing, cost: SPARE_COSTS });
  const server = network.open(options);
  const phase: Phase = { draining: false, closed: false };
  const parts = createParts(server.app, options, deps, network.name, phase);
  const { connections, replayBudget, counters, fanout } = parts;
  serveAll(server.app, parts, deps);

  const listening = await server.listen(options).catch((error: unknown) => {
    replayBudget.stop();
    server.close();
    throw error;
  });
  const sweep = startSweep(parts);

  function closeAll(): void {
    if (phase.closed) return;
    phase.draining = true;
    phase.closed = true;
    clearInterval(sweep);
    listening.close();
    fanout.close();
    connections.abortAll();
    replayBudget.stop();
    server.close();
  }

  return {
    port: listening.port,
    publish: fanout.publish,
    async drain(seconds) {
      phase.draining = true;
      listening.close();
      const endsAt = performance.now() + seconds * 1000;
      await spreadCloses(
        connections,
        seconds * 1000,
        () => retryDelay(options),
        () => phase.closed,
      );
      await within(connections.empty(), FAREWELL_MS);
      if (deps.settled) await within(deps.settled(), Math.max(FAREWELL_MS, endsAt - performance.now()));
      if (!phase.closed) await delay(LINGER_MS);
      closeAll();
    },
    async stop() {
      closeAll();
      await connections.empty();
    },
    draining: () => phase.draining,
    counters: () => counters,
  };
}
