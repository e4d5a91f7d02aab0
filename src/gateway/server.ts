import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../log/log.ts';
import type { Delivery, Publish } from '../protocol/delivery.ts';
import { createAdmission, retryDelay } from './door/admission.ts';
import { type GatewayCounters, newCounters } from './door/counters.ts';
import { createDoor } from './door/door.ts';
import { type Authenticate, createAuthenticator } from './door/jwt.ts';
import { createConnections, responseDeal, spreadCloses } from './live/connections.ts';
import { createFanout } from './live/fanout.ts';
import type { GatewayParts } from './live/parts.ts';
import { servePoll } from './live/poll.ts';
import { createReplayBudget } from './live/replay-budget.ts';
import { serveEvents } from './live/sse.ts';
import { serveWebsocket } from './live/websocket.ts';
import { chooseNetwork, type NetworkName, SPARE_COSTS } from './network/choose.ts';
import { GatewayStartError, type NetworkApp } from './network/network.ts';
import { type GatewayOptions, optionProblems } from './options.ts';

/** What the gateway is handed: who delivers, the other HTTP routes, where to log. */
export interface GatewayDeps {
  readonly delivery: Delivery;
  /** Transports of other rooms, which carry what `/ws` does to clients of another protocol. */
  readonly transports?: readonly ((app: NetworkApp, parts: GatewayParts) => void)[];
  /** Registered after `/ws`, `/events` and `/poll`, in their order. */
  readonly routes: readonly ((app: NetworkApp, authenticate: Authenticate | null) => void)[];
  readonly log: Log;
  /** The known tables of a UUID, for tokens that name tables so. */
  readonly resolve?: (reference: string) => readonly string[];
  /** Resolves when the routes have answered everything that they took up: a drain waits for it, within its time. */
  readonly settled?: () => Promise<void>;
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
    // No procfs: macOS, Windows. The configured cap stands alone there.
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

/** What changes once in a gateway's life, each to true and never back. */
interface Phase {
  draining: boolean;
  closed: boolean;
}

function createParts(app: NetworkApp, options: GatewayOptions, deps: GatewayDeps, network: NetworkName, phase: Phase) {
  const { log, delivery } = deps;
  const now = deps.now ?? ((): number => performance.now());
  const counters = newCounters(network);
  const admission = createAdmission(options, counters, now());
  const connections = createConnections();
  const takes = { ready: () => delivery.standing() !== null, draining: () => phase.draining };
  const parts: GatewayParts = {
    options,
    delivery,
    door: createDoor(options, admission, takes, counters, log, now),
    authenticate: createAuthenticator(options.auth, deps.resolve ?? (() => []), log),
    admission,
    connections,
    responses: connections.group(responseDeal),
    fanout: createFanout((topic, text) => {
      if (!phase.closed) app.publish(topic, text);
    }, counters),
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
  for (const register of deps.routes) register(app, parts.authenticate);
}

/** Looks at the deadlines of all connections. */
function startSweep({ connections, admission, options, now, failure }: GatewayParts): NodeJS.Timeout {
  return setInterval(() => {
    try {
      connections.tick(now());
      admission.sweep(now());
    } catch (error) {
      failure('sweep', error);
    }
  }, options.sweepMs);
}

/**
 * Starts listening. Rejects with GatewayStartError, naming every problem, when options are wrong or the port cannot be
 * had; nothing is left open then.
 */
export async function startGateway(wanted: GatewayOptions, deps: GatewayDeps): Promise<Gateway> {
  const problems = optionProblems(wanted);
  if (problems.length > 0) throw new GatewayStartError(problems.join('\n'));
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
