import type { Clock } from './clock.ts';
import type { Counters, Delivery } from './delivery.ts';
import type { Interest } from './interest.ts';
import type { Progress } from './progress.ts';
import { delayBefore, verdictOf } from './reconnect.ts';
import { openSession, type Session } from './session.ts';
import { createTimers } from './timers.ts';
import type { LinkClosed, TransportName } from './transport.ts';
import { ClientError, type ClientEvents, type ClientState, type ConnectOptions, type LossReason } from './types.ts';
import { watchWake } from './wake.ts';
import type { Means, Ways } from './ways.ts';

/** Milliseconds of stability after which the next loss counts as the first again. */
const STABLE_MS = 10_000;
/** How long a connection without subscriptions is kept, for the next one to come. */
const LINGER_MS = 5_000;
/** The better transport is tried soon after falling back, since an outage looks like a blocked one, and then rarely. */
const FIRST_UPGRADE_MS = 5_000;
const UPGRADE_MS = 180_000;
const PROBE_MS = 10_000;

export interface Reconnect {
  state(): ClientState;
  roundTripMs(): number | null;
  isClosed(): boolean;
  /** What is wanted changed. */
  changed(): void;
  prefer(name: TransportName | null): void;
  interrupt(): void;
  retry(): void;
  ping(): void;
  close(): void;
}

export interface ReconnectGround {
  readonly base: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly token: ConnectOptions['token'] | null;
  readonly ways: Ways;
  readonly interest: Interest;
  readonly progress: Progress;
  readonly delivery: Delivery;
  readonly counters: Counters;
  emit<K extends keyof ClientEvents>(name: K, ...args: ClientEvents[K]): void;
  error(error: ClientError): void;
}

/** Keeps one connection for as long as anything is subscribed, across losses, sleep and transports. */
export function createReconnect(ground: ReconnectGround): Reconnect {
  const { base, clock, random, token, ways, interest, counters, emit } = ground;
  const { arm, stop, has, stopAll } = createTimers(clock);
  let state: ClientState = { name: 'idle', reason: 'unused' };
  let session: Session | null = null;
  /** Grows with every start, so that a token which comes late opens no second connection. */
  let generation = 0;
  let attempt = 0;
  let wasLive = false;
  let offline = false;
  let closed = false;
  let feed: 'live' | 'stale' | 'down' = 'live';
  let frameBytes = 4096;
  let roundTrip: number | null = null;
  let last: { reason: LossReason; code: number | null } = { reason: 'closed', code: null };
  let tokenRefused = false;

  const enter = (next: ClientState): void => {
    const before = state;
    state = next;
    emit('state', next, before);
  };

  const enterWaiting = (retryAt: number | null): void => {
    const transport = ways.current().name;
    if (!wasLive) enter({ name: 'connecting', transport, attempt, retryAt });
    else if (offline) enter({ name: 'offline', since: state.name === 'offline' ? state.since : clock.now() });
    else enter({ name: 'recovering', ...last, transport, attempt, retryAt });
  };

  /** Live, unless the server said that its own source is not. */
  const enterLive = (): void => {
    if (feed !== 'live')
      enter({ name: 'stale', reason: feed === 'down' ? 'feed_down' : 'feed_stale', since: clock.now() });
    else if (state.name !== 'live') enter({ name: 'live', transport: ways.current().name, since: clock.now() });
  };

  const fail = (end: { code: number | null; reason: string }): void => {
    enter({ name: 'failed', code: end.code, reason: end.reason });
    const error = new ClientError('failed', `${end.code ?? ''} ${end.reason}`.trim());
    for (const follower of interest.followers()) follower.despair(error);
    ground.error(error);
  };

  const schedule = (delayMs: number): void => {
    if (interest.references.size === 0) {
      rest('unused');
    } else {
      enterWaiting(clock.now() + delayMs);
      arm('retry', delayMs, start);
    }
  };

  const rest = (reason: 'unused' | 'closed'): void => {
    generation += 1;
    session?.close();
    session = null;
    stopAll();
    if (state.name !== 'idle' || state.reason !== reason) enter({ name: 'idle', reason });
  };

  const ended = (end: LinkClosed, loss: LossReason, established: boolean): void => {
    session = null;
    stop('stable');
    stop('upgrade');
    last = { reason: loss, code: end.code };
    const verdict = verdictOf(end);
    // A fresh token may be all that is missing, when there is a way to get one; but only once.
    const renewable = typeof token === 'function' && (end.code === 401 || end.code === 4004) && !tokenRefused;
    tokenRefused ||= renewable;
    if (verdict.action === 'stop' && !renewable) {
      fail(verdict);
      return;
    }
    if (verdict.action === 'wait' && verdict.smaller) frameBytes = Math.max(512, frameBytes / 2);
    if (loss === 'planned' || loss === 'wake') {
      schedule(0);
      return;
    }
    // A refusal in the server's own words shows that the way to it is open.
    if (!established && end.problem === undefined && !(end.code !== null && end.code >= 4000)) ways.failed();
    const asked = verdict.action === 'wait' ? verdict.retryMs : null;
    const delayMs = delayBefore(attempt, asked, random);
    attempt += 1;
    schedule(delayMs);
  };

  const start = (): void => {
    generation += 1;
    const mine = generation;
    stop('retry');
    enterWaiting(null);
    if (wasLive) counters.reconnects += 1;
    const loaded = ways.current().load();
    const lost = (reason: LossReason, error: ClientError): void => {
      if (mine !== generation) return;
      ground.error(error);
      ended({ code: null, reason: error.message }, reason, reason === 'token');
    };
    freshToken().then(
      (fresh) =>
        loaded.then(
          (means) => {
            if (mine === generation) open(fresh, means);
          },
          (cause: unknown) => lost('refused', new ClientError('failed', 'the transport did not load', { cause })),
        ),
      (cause: unknown) => lost('token', new ClientError('token', 'no token', { cause })),
    );
  };

  const freshToken = async (): Promise<string | null> => (typeof token === 'function' ? token() : token) ?? null;

  const open = (fresh: string | null, { transport, converse }: Means): void => {
    const opened: Session = openSession({ ...ground, transport, token: fresh, frameBytes }, converse, {
      established() {
        ways.worked();
        feed = 'live';
      },
      settled() {
        if (session !== opened) return;
        if (state.name === 'live' || (state.name === 'stale' && feed !== 'live')) return;
        wasLive = true;
        tokenRefused = false;
        arm('stable', STABLE_MS, () => {
          attempt = 0;
        });
        if (!has('upgrade')) watchForBetter(FIRST_UPGRADE_MS);
        enterLive();
      },
      doubted: (reason) => {
        if (state.name === 'live' || state.name === 'stale') enter({ name: 'stale', reason, since: clock.now() });
      },
      heard: () => {
        if (state.name === 'stale') enterLive();
      },
      roundTrip(ms) {
        roundTrip = ms;
      },
      malformed() {
        counters.malformed += 1;
      },
      message(message) {
        counters.received += 1;
        emit('message', message);
        if (message.type === 'table_added') emit('tableAdded', message);
        // Who connects while the source is away learns it from the snapshots; the end of it is told to everybody.
        if (message.type === 'snapshot' && message.stale && feed === 'live') feed = 'stale';
        if (message.type !== 'status') return;
        feed = message.feed;
        if (feed === 'live') ground.progress.fresh();
        emit('status', message);
        if (state.name === 'live' || state.name === 'stale') enterLive();
      },
      tokenWanted: renewToken,
      ended,
    });
    session = opened;
    opened.pump();
  };

  const renewToken = (): void => {
    if (typeof token !== 'function') return;
    const mine = session;
    freshToken().then(
      (fresh) => {
        if (fresh !== null && mine === session) mine?.authenticate(fresh);
      },
      (cause: unknown) => ground.error(new ClientError('token', 'no token', { cause })),
    );
  };

  /** Tries the better transport beside the one in use, and changes over only when it answers. */
  const watchForBetter = (delayMs: number): void => {
    arm('upgrade', delayMs * (0.75 + random() / 2), () => {
      const better = ways.better();
      if (!better) return;
      const over = (won: boolean): void => {
        stop('probe');
        probe.close();
        if (won) {
          ways.useBest();
          session?.end('planned');
        } else if (session) watchForBetter(UPGRADE_MS);
      };
      const probe = better.open(
        { base, token: null, query: () => ({ topics: [], history: 0, after: null, seen: null }) },
        { opened: () => undefined, alive: () => undefined, frame: () => over(true), closed: () => over(false) },
      );
      arm('probe', PROBE_MS, () => over(false));
    });
  };

  const stopWatching = watchWake(clock, {
    woke: () => session?.wake(),
    online() {
      offline = false;
      if (has('retry')) schedule(random() * 1000);
    },
    offline() {
      offline = true;
      // Pages are called offline while a server on the same machine still answers: only a lost connection counts.
      session?.wake();
    },
  });

  return {
    state: () => state,
    roundTripMs: () => roundTrip,
    isClosed: () => closed,
    changed() {
      if (closed) return;
      if (interest.references.size === 0) {
        if (session || has('retry')) arm('linger', LINGER_MS, () => rest('unused'));
        return;
      }
      stop('linger');
      if (session) session.pump();
      else if (state.name === 'idle') start();
    },
    prefer(name) {
      ways.force(name);
      if (name === null) ways.useBest();
      session?.end('planned');
    },
    interrupt: () => session?.end('interrupted'),
    retry() {
      if (closed || session || interest.references.size === 0) return;
      attempt = 0;
      start();
    },
    ping: () => session?.ping(),
    close() {
      closed = true;
      stopWatching();
      rest('closed');
    },
  };
}
