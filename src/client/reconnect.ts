import type { ServerMessage } from '../protocol/messages.ts';
import { createTimers, watchSleep } from './clock.ts';
import { FRAME_BYTES, LINGER_MS, MAX_RETRY_MS, STABLE_MS } from './limits.ts';
import { openSession, type Session, type SessionGround } from './session.ts';
import type { LinkClosed, Transport } from './transport.ts';
import type { TransportChoice } from './transport-choice.ts';
import {
  type Client,
  ClientError,
  type ClientEvents,
  type ClientState,
  type ConnectOptions,
  type LossReason,
} from './types.ts';

/** 4000-4099, and the HTTP answers that repeating does not change: bad request, credentials, origin, address, host. */
const FINAL = /^(40\d\d|40[01345]|421)$/;

/**
 * Whether a link ended for good. Close codes carry the policy: 4000-4099 stop, 4100-4199 back off, 4200-4299 come back
 * after `retry_ms`; everything else backs off.
 */
const isFinal = ({ code, foreign }: LinkClosed): boolean => !foreign && FINAL.test(String(code));

/**
 * Milliseconds before attempt `attempt` (0 is the first after a loss): uniform 0-1 s at first, then
 * 250 + rand(0..min(15000, 500 * 2^n)). What the server asked for overrides it, except that a server which keeps asking
 * for less does not get a hot loop.
 */
export function delayBefore(attempt: number, askedMs: number | null, random: () => number): number {
  const own = attempt === 0 ? random() * 1000 : 250 + random() * Math.min(15_000, 500 * 2 ** attempt);
  if (askedMs === null) return own;
  return Math.max(Math.min(askedMs, MAX_RETRY_MS), attempt === 0 ? 0 : own);
}

export interface Reconnect {
  state(): ClientState;
  isClosed(): boolean;
  /** A token as it is now; null when none was given. Rejects as the token function does. */
  freshToken(): Promise<string | null>;
  /** What is wanted changed. */
  changed(): void;
  close(): void;
  readonly controls: Pick<Client, 'prefer' | 'interrupt' | 'retry' | 'ping' | 'connect' | 'disconnect'>;
}

export interface ReconnectGround extends SessionGround {
  readonly token: ConnectOptions['token'];
  /** Settles when positions of an earlier page were taken up. */
  readonly restored: Promise<void> | undefined;
  readonly choice: TransportChoice;
  emit<K extends keyof ClientEvents>(name: K, ...args: ClientEvents[K]): void;
}

/** Keeps one connection for as long as anything is subscribed, across losses, sleep and transports. */
export function createReconnect(ground: ReconnectGround): Reconnect {
  const { clock, random, token, choice, interest, progress, counters, emit, report } = ground;
  let state: ClientState = { name: 'idle', reason: 'unused' };
  let session: Session | null = null;
  /** Grows with every start and stop, so that a token which comes late opens no second connection. */
  let generation = 0;
  let attempt = 0;
  let wasLive = false;
  let offline = false;
  let closed = false;
  let feed: 'live' | 'stale' | 'down' = 'live';
  let frameBytes = FRAME_BYTES;
  let last: { reason: LossReason; code: number | null } = { reason: 'closed', code: null };
  let tokenRefused = false;
  /** The server was heard on this connection. */
  let established = false;
  let stopWatching: (() => void) | null = null;
  const { arm, cancel, isArmed, stopAll } = createTimers(clock, () => closed);
  const isRenewable = typeof token === 'function';
  const isUnused = (): boolean => interest.followers.size === 0;

  const enter = (next: ClientState): void => {
    const before = state;
    state = next;
    emit('state', next, before);
    progress.markLive(next.name === 'live');
  };

  const enterWaiting = (retryAt: number | null): void => {
    const transport = choice.name();
    if (!wasLive) enter({ name: 'connecting', transport, attempt, retryAt });
    else if (offline) enter({ name: 'offline', since: state.name === 'offline' ? state.since : clock.now() });
    else enter({ name: 'recovering', ...last, transport, attempt, retryAt });
  };

  /** Live, unless the server said that its own source is not. */
  const enterLive = (): void => {
    const since = clock.now();
    if (feed !== 'live') enter({ name: 'stale', reason: `feed_${feed}`, since });
    else if (state.name !== 'live') enter({ name: 'live', transport: choice.name(), since });
  };

  const leave = (): void => {
    generation += 1;
    session?.close();
    session = null;
    stopAll();
  };

  const rest = (reason: Extract<ClientState, { name: 'idle' }>['reason']): void => {
    leave();
    // A client that is not used keeps no process running.
    stopWatching?.();
    stopWatching = null;
    if (state.name !== 'idle' || state.reason !== reason) enter({ name: 'idle', reason });
  };

  const schedule = (delayMs: number): void => {
    if (isUnused()) {
      rest('unused');
      return;
    }
    enterWaiting(clock.now() + delayMs);
    arm('retry', delayMs, start);
  };

  const fail = (code: number | null, reason: string, cause?: unknown): void => {
    leave();
    const error = new ClientError('failed', `${code ?? ''} ${reason}`.trim(), null, cause);
    enter({ name: 'failed', code, reason });
    let told = false;
    for (const follower of interest.followers) told = follower.settle(error) || told;
    report(error, told);
  };

  const lost = (end: LinkClosed, loss: LossReason): void => {
    const { code, problem, retryMs } = end;
    leave();
    last = { reason: !established && (loss === 'closed' || loss === 'silence') ? 'refused' : loss, code };
    // A fresh token may be all that is missing, when there is a way to get one; but only once.
    const renewable = isRenewable && (code === 401 || code === 4004) && !tokenRefused;
    tokenRefused ||= renewable;
    if (isFinal(end) && !renewable) {
      fail(code, problem ?? end.reason);
      return;
    }
    // RFC 6455: the message was too big, so the same one must not be sent again.
    if (code === 1009) frameBytes = Math.max(512, frameBytes / 2);
    if (end.better) choice.force(null);
    if (loss === 'planned' || loss === 'wake') {
      schedule(0);
      return;
    }
    // A refusal in the server's own words shows that the way to it is open.
    if (!established && loss !== 'token' && problem === undefined && (code ?? 0) < 4000) choice.tried(false);
    schedule(delayBefore(attempt++, retryMs ?? null, random));
  };

  /** Rejects as the token function does; where that says that there is no use in asking again, the client fails. */
  const freshToken = async (): Promise<string | null> => {
    const mine = generation;
    await ground.restored;
    try {
      return (isRenewable ? await token() : token) ?? null;
    } catch (cause) {
      // By its name: the class may come from another copy of this library.
      if (mine === generation && cause instanceof Error && cause.name === 'UnauthorizedError') {
        fail(null, cause.message || 'unauthorized', cause);
      }
      throw cause;
    }
  };

  const start = async (): Promise<void> => {
    leave();
    stopWatching ??= watch();
    established = false;
    feed = 'live';
    const mine = generation;
    enterWaiting(null);
    if (wasLive) counters.reconnects += 1;
    let loss: 'token' | 'refused' = 'token';
    try {
      const fresh = await freshToken();
      loss = 'refused';
      const transport = await choice.load();
      if (mine === generation) open(fresh, transport);
    } catch (cause) {
      if (mine !== generation) return;
      report(new ClientError(loss === 'token' ? loss : 'failed', 'cannot connect', null, cause));
      lost({ code: null, reason: String(cause) }, loss);
    }
  };

  const open = (fresh: string | null, transport: Transport): void => {
    session = openSession(ground, transport, fresh, frameBytes, {
      settled() {
        for (const follower of interest.followers) follower.settle();
        if (state.name === 'live' || (state.name === 'stale' && feed !== 'live')) return;
        wasLive = true;
        tokenRefused = false;
        arm('stable', STABLE_MS, () => {
          attempt = 0;
        });
        enterLive();
      },
      doubted(reason) {
        if (state.name === 'live') enter({ name: 'stale', reason, since: clock.now() });
      },
      heard() {
        if (!established) choice.tried(true);
        established = true;
        if (state.name === 'stale' && feed === 'live') enterLive();
      },
      took,
      tokenWanted: renewToken,
      lost,
    });
    session.pump();
  };

  const took = (heard: ServerMessage): void => {
    counters.received += 1;
    emit('message', heard);
    if (heard.type === 'table_added') emit('tableAdded', heard);
    // Who connects while the source is away learns it from the snapshots; the end of it is told to everybody.
    if (heard.type === 'snapshot' && heard.stale && feed === 'live') feed = 'stale';
    if (heard.type !== 'status') return;
    feed = heard.feed;
    emit('status', heard);
    if (state.name === 'live' || state.name === 'stale') enterLive();
  };

  const renewToken = (): void => {
    if (!isRenewable) return;
    const mine = session;
    freshToken().then(
      (fresh) => {
        if (fresh !== null && mine === session) mine?.authenticate(fresh);
      },
      (cause: unknown) => {
        if (mine === session) report(new ClientError('token', 'no token', null, cause));
      },
    );
  };

  const watch = () =>
    watchSleep(clock, {
      woke: () => session?.wake(),
      online() {
        offline = false;
        if (isArmed('retry')) schedule(random() * 1000);
      },
      offline() {
        offline = true;
        // Pages are called offline while a server on the same machine still answers: only a lost connection counts.
        session?.wake();
      },
    });

  return {
    state: () => state,
    isClosed: () => closed,
    freshToken,
    changed() {
      if (isUnused()) {
        if (session || isArmed('retry')) arm('linger', LINGER_MS, () => rest('unused'));
        return;
      }
      cancel('linger');
      if (session) session.pump();
      else if (state.name === 'idle' && state.reason === 'unused') start();
    },
    close() {
      closed = true;
      rest('closed');
    },
    controls: {
      prefer(name) {
        choice.force(name);
        session?.drop('planned');
      },
      interrupt: () => session?.drop('interrupted'),
      retry() {
        if (session || isUnused()) return;
        attempt = 0;
        start();
      },
      ping: () => session?.ping(),
      disconnect() {
        if (!closed) rest('disconnected');
      },
      connect() {
        if (state.name !== 'idle' || closed) return;
        if (isUnused()) enter({ name: 'idle', reason: 'unused' });
        else start();
      },
    },
  };
}
