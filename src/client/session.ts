import { PROTOCOL_VERSION, type ServerMessage } from '../protocol/messages.ts';
import { type Clock, createTimers } from './clock.ts';
import type { Interest } from './interest.ts';
import { DAY_MS, FAREWELL_MS, GRACE_MS, MAX_MALFORMED, OPEN_MS, REFILL_MS, TOPIC_BYTES, WAKE_MS } from './limits.ts';
import type { Counters, TopicProgress } from './progress.ts';
import { readMessage } from './read.ts';
import { createRequests } from './requests.ts';
import type { Link, LinkClosed, LinkSink, Transport } from './transport.ts';
import { ClientError, type LossReason } from './types.ts';

/** What stays from one connection to the next. */
export interface SessionGround {
  readonly base: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly interest: Interest;
  readonly progress: TopicProgress;
  readonly counters: Counters;
  /** `told`: whoever waited for it has the error already. */
  report(error: ClientError, told?: boolean): void;
}

export interface SessionEvents {
  /** Everything wanted was acknowledged. May come again after more was asked for. */
  settled(): void;
  /** Nothing was heard for longer than the server stays silent, or the computer slept. */
  doubted(reason: 'silence' | 'wake'): void;
  /** Something came. */
  heard(): void;
  took(message: ServerMessage): void;
  /** The server wants a token: a fresh one is to be given to `Session.authenticate`. */
  tokenWanted(): void;
  lost(end: LinkClosed, loss: LossReason): void;
}

export interface Session {
  pump(): void;
  ping(): void;
  /** The computer slept, or the page was away: find out whether the connection is still there. */
  wake(): void;
  authenticate(token: string): void;
  drop(loss: LossReason): void;
  close(): void;
}

/** One connection from its opening to its end. Throws as the transport does when it cannot even begin. */
export function openSession(
  ground: SessionGround,
  transport: Transport,
  token: string | null,
  frameBytes: number,
  events: SessionEvents,
): Session {
  const { interest, progress, counters, clock, report } = ground;
  const { duplex } = transport;
  const timers = createTimers(clock, () => over);
  const { arm } = timers;
  let link: Link | null = null;
  let over = false;
  /** When something came last; 0 for never since `check` began. */
  let heardAt = 0;
  let pingMs = 25_000;
  let farewell: LinkClosed | null = null;
  let malformedInARow = 0;

  const requests = createRequests({
    ...ground,
    timers,
    ordered: !duplex,
    send: (frame) => link?.send(frame),
    settled: events.settled,
    unanswered: () => drop('no_answer'),
  });

  const close = (): void => {
    over = true;
    timers.stopAll();
    link?.close();
  };

  const end = (closed: LinkClosed, loss: LossReason): void => {
    if (over) return;
    close();
    // What the server said before it closed counts, when the connection then broke without a word.
    events.lost((closed.code ?? 0) < 4000 ? { ...closed, ...farewell } : { ...farewell, ...closed }, loss);
  };

  const drop = (loss: LossReason): void => end({ code: null, reason: loss }, loss);

  const authenticate = (fresh: string): void => link?.send({ type: 'auth', id: 'auth', token: fresh });

  /** The id of a ping is when it was sent. */
  const ping = (): void => link?.send({ type: 'ping', id: Math.round(clock.now()) });

  /** Looks whether anything comes within `patienceMs`; if not, the connection is given up. */
  const check = (reason: 'silence' | 'wake', patienceMs: number): void => {
    heardAt = 0;
    arm('watch', patienceMs, () => {
      if (heardAt > 0) {
        watch();
        return;
      }
      events.doubted(reason);
      drop(reason);
    });
  };

  /** One timer, re-armed when it fires: a busy connection costs no timers. */
  const watch = (): void => {
    const quietMs = clock.now() - heardAt;
    if (quietMs >= 0 && quietMs < pingMs) {
      arm('watch', pingMs - quietMs, watch);
      return;
    }
    // Nobody is given up unasked: a busy event loop may be all that kept frames from being read.
    ping();
    check('silence', GRACE_MS);
  };

  const hear = (): void => {
    heardAt = clock.now();
    events.heard();
  };

  const act = (message: ServerMessage): void => {
    switch (message.type) {
      case 'hello':
        if (message.protocol !== PROTOCOL_VERSION) {
          // Nothing that this client says would be understood.
          end({ code: 4001, reason: 'protocol version' }, 'refused');
          return;
        }
        pingMs = Math.min(300_000, message.ping_s * 1000);
        arm('watch', pingMs, watch);
        if (duplex && message.auth === 'jwt' && token !== null) authenticate(token);
        requests.start(Math.min(frameBytes, message.limits.frame_bytes) / TOPIC_BYTES, message.limits.topics);
        return;
      case 'snapshot':
        if (requests.expects(message.topic)) progress.takeSnapshot(message, requests);
        requests.pump();
        return;
      case 'subscribed':
        requests.acknowledge(message);
        return;
      case 'unsubscribed':
        requests.left(message.id);
        return;
      case 'reset':
        progress.takeReset(message);
        return;
      case 'sync':
        progress.reach(message.position, requests.isSteady);
        return;
      case 'error':
        if (message.code === 'unauthorized' && message.id === undefined) events.tokenWanted();
        requests.refuse(message);
        return;
      case 'authenticated': {
        if (message.expires === null) return;
        const leftMs = Date.parse(message.expires) - clock.now();
        // Well before the end, and for short-lived tokens half-way; timers take no more than some weeks.
        arm('token', Math.min(DAY_MS, Math.max(1_000, leftMs / 2, leftMs - 30_000)), events.tokenWanted);
        return;
      }
      case 'pong':
        counters.roundTripMs = clock.now() - Number(message.id);
        return;
      case 'resolved':
        requests.meant(message);
        return;
      case 'bye':
        farewell = { code: message.code, reason: message.reason, retryMs: message.retry_ms };
        arm('bye', FAREWELL_MS, () => drop('closed'));
        return;
      case 'status':
      case 'table_added':
        return;
      default: {
        // Events are what is left.
        if (!requests.expects(message.topic)) return;
        const left = progress.event(message, requests);
        if (left === 'hole') requests.pump();
        else if (left && !timers.isArmed('refill')) arm('refill', REFILL_MS, requests.pump);
      }
    }
  };

  const sink: LinkSink = {
    alive: hear,
    frame(value) {
      if (over) return;
      hear();
      const message = readMessage(value);
      if (message === 'unknown') return;
      if (message === 'malformed') {
        counters.malformed += 1;
        malformedInARow += 1;
        report(new ClientError('malformed', 'malformed frame', null, value));
        if (malformedInARow >= MAX_MALFORMED) drop('malformed');
        return;
      }
      malformedInARow = 0;
      events.took(message);
      if (!over) act(message);
    },
    closed: (closed) => end(closed, closed.better ? 'planned' : 'closed'),
  };

  progress.keep(interest.wants);
  link = transport.open({ base: ground.base, token, progress }, sink);
  check('silence', OPEN_MS);
  if (!duplex) requests.start(frameBytes / TOPIC_BYTES);

  return {
    pump: requests.pump,
    ping,
    wake() {
      events.doubted('wake');
      if (!duplex) return drop('wake');
      ping();
      check('wake', WAKE_MS);
    },
    authenticate: (fresh) => (duplex ? authenticate(fresh) : drop('planned')),
    drop,
    close,
  };
}
