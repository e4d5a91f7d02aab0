import type { ServerMessage } from '../protocol/messages.ts';
import { ALL_TABLES } from '../protocol/topic.ts';
import type { Conversation, Ground } from './conversation.ts';
import type { Moment } from './progress.ts';
import { MalformedFrame, readMessage } from './read.ts';
import { createTimers } from './timers.ts';
import type { LinkClosed } from './transport.ts';
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

export interface SessionEvents {
  /** Everything wanted was acknowledged. May come again after more was asked for. */
  settled(): void;
  /** The first frame came: this transport works. */
  established(): void;
  /** Nothing was heard for longer than the server stays silent, or the computer slept. */
  doubted(reason: 'silence' | 'wake'): void;
  /** Heard again. */
  heard(): void;
  roundTrip(ms: number): void;
  malformed(): void;
  message(message: ServerMessage): void;
  /** The server wants a token: a fresh one is to be given to `Session.authenticate`. */
  tokenWanted(): void;
  ended(end: LinkClosed, loss: LossReason, established: boolean): void;
}

export interface Session {
  readonly pump: () => void;
  ping(): void;
  /** The computer slept, or the page was away: find out whether the connection still stands. */
  wake(): void;
  authenticate(token: string): void;
  end(loss: LossReason): void;
  close(): void;
}

export type SessionGround = Pick<
  Ground,
  'interest' | 'progress' | 'delivery' | 'clock' | 'random' | 'transport' | 'base' | 'token' | 'frameBytes' | 'error'
>;

/** One connection from its opening to its end. */
export function openSession(
  given: SessionGround,
  converse: (ground: Ground) => Conversation,
  events: SessionEvents,
): Session {
  const { interest, progress, delivery, clock } = given;
  const { arm, stop, has, stopAll } = createTimers(clock);
  let over = false;
  let established = false;
  let lastHeard = clock.now();
  let pingMs = 25_000;
  let doubted = false;
  let farewell: Extract<ServerMessage, { type: 'bye' }> | null = null;
  let ping: { readonly id: string; readonly at: number } | null = null;
  let pings = 0;
  let malformedInARow = 0;
  /** The last sign of life for which a ping went out. */
  let asked: number | null = null;

  const finish = (): void => {
    over = true;
    stopAll();
    conversation.close();
  };

  const end = (closed: LinkClosed, loss: LossReason): void => {
    if (over) return;
    finish();
    const fromBye = farewell && (closed.code === null || closed.code < 4000);
    const code = fromBye && farewell ? farewell.code : closed.code;
    const retry = farewell && closed.retryMs === undefined ? { retryMs: farewell.retry_ms } : {};
    events.ended({ ...closed, ...retry, code, reason: closed.reason || (farewell?.reason ?? '') }, loss, established);
  };

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

  const sendPing = (): void => {
    pings += 1;
    ping = { id: `ping-${pings}`, at: clock.now() };
    conversation.send({ type: 'ping', id: ping.id });
  };

  const doubt = (reason: 'silence' | 'wake'): void => {
    doubted = true;
    events.doubted(reason);
  };

  /** One timer, re-armed when it fires: a busy connection costs no timers. */
  const watch = (): void => {
    const quiet = clock.now() - lastHeard;
    if (quiet >= 0 && quiet < pingMs) {
      arm('watch', pingMs - quiet, watch);
    } else if (asked !== lastHeard) {
      // A busy event loop may be what kept frames from being read: nobody is given up unasked.
      asked = lastHeard;
      sendPing();
      arm('watch', GRACE_MS, watch);
    } else {
      doubt('silence');
      end({ code: null, reason: 'silence' }, 'silence');
    }
  };

  const star = (): boolean => ground.held.has(ALL_TABLES) || ground.pending.has(ALL_TABLES);
  const pending = new Set<string>();
  const moment: Moment = {
    pending,
    get star() {
      return star();
    },
    single: given.transport.ask !== null,
    depthOf: interest.depthOf,
  };

  /** Frames of topics that were left, or never asked for, are not for anybody. */
  const expected = (topic: string): boolean => {
    if (interest.wants(topic) && (star() || ground.held.has(topic) || ground.pending.has(topic))) return true;
    if (!conversation.resolving()) return false;
    ground.pending.add(topic);
    return true;
  };

  const act = (message: ServerMessage): void => {
    switch (message.type) {
      case 'hello':
        pingMs = Math.min(300_000, Math.max(1_000, message.ping_s * 1000));
        arm('watch', pingMs, watch);
        conversation.hello(message);
        return;
      case 'new_number':
      case 'number_corrected':
      case 'number_removed':
      case 'strategy_update': {
        if (!expected(message.topic)) return;
        const known = progress.standings.get(message.topic);
        // A single topic begins with its snapshot; what comes before that is inside it.
        if (!known?.table && !star() && !conversation.resolving()) return;
        delivery.event(message, moment);
        const need = progress.standings.get(message.topic)?.need;
        if (need === 'replay') conversation.pump();
        else if (need === 'snapshot' && !has('refill')) arm('refill', REFILL_MS, conversation.pump);
        return;
      }
      case 'snapshot':
        if (!expected(message.topic)) return;
        delivery.snapshot(message, moment);
        conversation.pump();
        return;
      case 'subscribed':
        conversation.subscribed(message);
        return;
      case 'unsubscribed':
        conversation.unsubscribed(message.id);
        return;
      case 'reset':
        delivery.reset(message);
        return;
      case 'sync':
        delivery.sync(message, ground.held, moment);
        return;
      case 'error':
        if (message.code === 'unauthorized' && message.id === undefined) events.tokenWanted();
        conversation.refused(message);
        return;
      case 'authenticated': {
        if (message.expires === null) return;
        const leftMs = Date.parse(message.expires) - clock.now();
        // Well before the end, and for short-lived tokens half-way.
        arm('token', Math.max(1_000, Math.min(leftMs / 2, 86_400_000), leftMs - 30_000), events.tokenWanted);
        return;
      }
      case 'pong':
        if (ping && message.id === ping.id) events.roundTrip(clock.now() - ping.at);
        return;
      case 'table_added':
        for (const reference of interest.references.values()) {
          const names = [...reference.topics].map((topic) => progress.standings.get(topic)?.table?.nome);
          if (reference.growing && names.includes(message.roleta_nome)) ground.checked.delete(reference);
        }
        conversation.pump();
        return;
      case 'bye':
        farewell = message;
        arm('bye', FAREWELL_MS, () => end({ code: null, reason: message.reason }, 'closed'));
        return;
      case 'status':
        return;
      default:
        message satisfies never;
    }
  };

  const receive = (message: ServerMessage): void => {
    events.message(message);
    act(message);
  };

  const ground: Ground = {
    ...given,
    held: new Set(),
    pending,
    checked: new Set(),
    mostTopics: 100,
    settled: events.settled,
    end,
    receive,
    errorOf: (code, message, topic) => new ClientError(code, message, topic === null ? {} : { topic }),
    sink: {
      opened: () => {
        // A WebSocket has still to say hello; a stream or poll that was answered works.
        if (moment.single) hear();
      },
      alive: hear,
      frame(value) {
        if (over) return;
        hear();
        try {
          const message = readMessage(value);
          if (message) receive(message);
          malformedInARow = 0;
        } catch (error) {
          if (!(error instanceof MalformedFrame)) throw error;
          events.malformed();
          given.error(new ClientError('malformed', error.message, { cause: error }));
          malformedInARow += 1;
          // A hello of another version: nothing that this client says would be understood.
          if (error.path === 'protocol') end({ code: 4001, reason: 'protocol version' }, 'refused');
          else if (malformedInARow >= MAX_MALFORMED) end({ code: null, reason: error.message }, 'malformed');
        }
      },
      closed: (closed) => end(closed, established ? 'closed' : 'refused'),
    },
  };

  const conversation: Conversation = converse(ground);
  arm('open', OPEN_MS, () => end({ code: null, reason: 'no answer' }, 'refused'));
  arm('watch', pingMs, watch);
  progress.keep(interest.wants);
  conversation.start();

  return {
    pump: () => {
      if (!over) conversation.pump();
    },
    ping: sendPing,
    wake() {
      if (over || doubted) return;
      doubt('wake');
      const give = (): void => end({ code: null, reason: 'wake' }, 'wake');
      if (moment.single) {
        give();
      } else {
        sendPing();
        arm('wake', WAKE_MS, give);
      }
    },
    authenticate(token) {
      if (!conversation.send({ type: 'auth', id: 'auth', token })) end({ code: null, reason: 'new token' }, 'planned');
    },
    end: (loss) => end({ code: null, reason: loss }, loss),
    close() {
      if (!over) finish();
    },
  };
}
