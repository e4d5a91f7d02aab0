import type { ServerMessage } from '../protocol/messages.ts';
import type { Clock } from './clock.ts';
import type { Interest } from './interest.ts';
import type { Counters, Progress } from './progress.ts';
import { MalformedFrame, readMessage } from './read.ts';
import { createRequests } from './requests.ts';
import { createTimers } from './timers.ts';
import type { Link, LinkClosed, LinkSink, Transport } from './transport.ts';
import { ClientError, type LossReason } from './types.ts';

/** How long a connection may take until its first frame. */
const OPEN_MS = 10_000;
/** Silence beyond the server's ping interval after which a connection is given up. */
const GRACE_MS = 10_000;
/** How long a connection may take to show that it outlived a sleep. */
const WAKE_MS = 3_000;
/** After `bye` the server closes; a link that stays open longer is closed here. */
const FAREWELL_MS = 2_000;
/** Lists that became too short are filled after a while, since deletions come in crowds. */
const REFILL_MS = 1_000;
/** Frames in a row that do not follow the protocol; then the other side is not what it says. */
const MAX_MALFORMED = 20;

/** What stays from one connection to the next. */
export interface SessionGround {
  readonly base: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly interest: Interest;
  readonly progress: Progress;
  readonly counters: Counters;
  report(error: ClientError): void;
}

export interface SessionEvents {
  /** The first frame came: this transport works. */
  established(): void;
  /** Everything wanted was acknowledged. May come again after more was asked for. */
  settled(): void;
  /** Nothing was heard for longer than the server stays silent, or the computer slept. */
  doubted(reason: 'silence' | 'wake'): void;
  /** Heard again. */
  heard(): void;
  message(message: ServerMessage): void;
  /** The server wants a token: a fresh one is to be given to `Session.authenticate`. */
  tokenWanted(): void;
  ended(end: LinkClosed, loss: LossReason, established: boolean): void;
}

export interface Session {
  pump(): void;
  ping(): void;
  /** The computer slept, or the page was away: find out whether the connection still stands. */
  wake(): void;
  authenticate(token: string): void;
  end(loss: LossReason): void;
  close(): void;
}

/** One connection from its opening to its end. */
export function openSession(
  ground: SessionGround,
  { duplex, open }: Transport,
  token: string | null,
  frameBytes: number,
  events: SessionEvents,
): Session {
  const { interest, progress, counters, clock, report } = ground;
  const timers = createTimers(clock, () => over);
  const { arm, stop } = timers;
  let link: Link | null = null;
  let over = false;
  let established = false;
  let doubted = false;
  let lastHeard = clock.now();
  /** The last sign of life for which a ping went out. */
  let asked: number | null = null;
  let pingMs = 25_000;
  let farewell: Extract<ServerMessage, { type: 'bye' }> | null = null;
  let malformedInARow = 0;

  const requests = createRequests({
    ...ground,
    timers,
    frameBytes,
    ordered: !duplex,
    send: (frame) => link?.send(frame),
    settled: events.settled,
    unanswered: () => end({ code: null, reason: 'no answer' }, 'no_answer'),
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
    const meant = farewell && (closed.code ?? 0) < 4000 ? farewell : closed;
    const retryMs = closed.retryMs ?? farewell?.retry_ms;
    const { code, reason } = meant;
    events.ended({ ...closed, code, reason, ...(retryMs === undefined ? {} : { retryMs }) }, loss, established);
  };

  const drop = (loss: LossReason): void => end({ code: null, reason: loss }, loss);

  const hear = (): void => {
    lastHeard = clock.now();
    stop('wake');
    if (!established) {
      established = true;
      stop('open');
      events.established();
    }
    if (doubted) {
      doubted = false;
      events.heard();
    }
  };

  /** The id of a ping is when it was sent. */
  const ping = (): void => link?.send({ type: 'ping', id: Math.round(clock.now()) });

  const doubt = (reason: 'silence' | 'wake'): void => {
    doubted = true;
    events.doubted(reason);
  };

  /** One timer, re-armed when it fires: a busy connection costs no timers. */
  const watch = (): void => {
    const quietMs = clock.now() - lastHeard;
    if (quietMs >= 0 && quietMs < pingMs) {
      arm('watch', pingMs - quietMs, watch);
    } else if (asked !== lastHeard) {
      // A busy event loop may be what kept frames from being read: nobody is given up unasked.
      asked = lastHeard;
      ping();
      arm('watch', GRACE_MS, watch);
    } else {
      doubt('silence');
      drop('silence');
    }
  };

  const act = (message: ServerMessage): void => {
    switch (message.type) {
      case 'hello':
        pingMs = Math.min(300_000, Math.max(1_000, message.ping_s * 1000));
        arm('watch', pingMs, watch);
        if (duplex && message.auth === 'jwt' && token !== null) link?.send({ type: 'auth', id: 'auth', token });
        requests.start(message.limits);
        return;
      case 'new_number':
      case 'number_corrected':
      case 'number_removed':
      case 'strategy_update': {
        const begun = progress.standings.get(message.topic)?.table;
        if (!requests.expects(message.topic, Boolean(begun))) return;
        const left = progress.event(message, requests);
        if (left === 'hole') requests.pump();
        else if (left && !timers.has('refill')) arm('refill', REFILL_MS, requests.pump);
        return;
      }
      case 'snapshot':
        if (requests.expects(message.topic, true)) progress.snapshot(message, requests);
        requests.pump();
        return;
      case 'subscribed':
        requests.subscribed(message);
        return;
      case 'unsubscribed':
        requests.unsubscribed(message.id);
        return;
      case 'reset':
        progress.reset(message);
        return;
      case 'sync':
        progress.sync(message.position, requests.isSteady);
        return;
      case 'error':
        if (message.code === 'unauthorized' && message.id === undefined) events.tokenWanted();
        requests.refused(message);
        return;
      case 'authenticated': {
        if (message.expires === null) return;
        const leftMs = Date.parse(message.expires) - clock.now();
        // Well before the end, and for short-lived tokens half-way.
        arm('token', Math.max(1_000, Math.min(leftMs / 2, 86_400_000), leftMs - 30_000), events.tokenWanted);
        return;
      }
      case 'pong':
        counters.roundTripMs = clock.now() - Number(message.id);
        return;
      case 'table_added':
        requests.appeared(message.roleta_nome);
        return;
      case 'bye':
        farewell = message;
        arm('bye', FAREWELL_MS, () => drop('closed'));
        return;
      case 'status':
        return;
      default:
        message satisfies never;
    }
  };

  const sink: LinkSink = {
    alive: hear,
    frame(value) {
      if (over) return;
      hear();
      try {
        const message = readMessage(value);
        malformedInARow = 0;
        if (!message) return;
        events.message(message);
        if (!over) act(message);
      } catch (error) {
        if (!(error instanceof MalformedFrame)) throw error;
        counters.malformed += 1;
        malformedInARow += 1;
        report(new ClientError('malformed', error.message, { cause: error }));
        // A hello of another version: nothing that this client says would be understood.
        if (error.path === 'protocol') end({ code: 4001, reason: 'protocol version' }, 'refused');
        else if (malformedInARow >= MAX_MALFORMED) drop('malformed');
      }
    },
    closed: (closed) => end(closed, established ? 'closed' : 'refused'),
  };

  arm('open', OPEN_MS, () => end({ code: null, reason: 'no answer' }, 'refused'));
  arm('watch', pingMs, watch);
  progress.keep(interest.wants);
  try {
    const resume = (topics: readonly string[]) => ({ ...progress.resume(topics), ...progress.seen() });
    link = open({ base: ground.base, token, resume }, sink);
    if (!duplex) requests.start();
  } catch (cause) {
    // A transport that throws is one that ended at once.
    queueMicrotask(() => sink.closed({ code: null, reason: String(cause) }));
  }

  return {
    pump: requests.pump,
    ping,
    wake() {
      if (over || doubted) return;
      doubt('wake');
      if (!duplex) {
        drop('wake');
        return;
      }
      ping();
      arm('wake', WAKE_MS, () => drop('wake'));
    },
    authenticate(fresh) {
      if (duplex) link?.send({ type: 'auth', id: 'auth', token: fresh });
      else drop('planned');
    },
    end: drop,
    close,
  };
}
