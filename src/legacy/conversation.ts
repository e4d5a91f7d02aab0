import type { Socket } from 'socket.io';
import type { Grant } from '../gateway/door/access.ts';
import type { TableDetail } from '../gateway/http/deps.ts';
import type { GatewayParts } from '../gateway/live/parts.ts';
import { formatStand, parseStand, type Stand } from '../gateway/live/topics-query.ts';
import type { Subscriber, SubscriberLink } from '../protocol/delivery.ts';
import { ProtocolError } from '../protocol/errors.ts';
import { tableReference, topicOf } from '../protocol/topic.ts';
import type { TableId } from '../roulette/table.ts';
import { catchUp, standOf, subscribeTo } from './catch-up.ts';
import { type Answer, hearing } from './hear.ts';
import {
  type EventFrame,
  historyData,
  type LegacyFrame,
  RECENT,
  readFrame,
  recentHistory,
  type SnapshotFrame,
  strategyOf,
  type TopicAnswer,
} from './payloads.ts';
import { type Asked, askedOf } from './requests.ts';
import { allRooms, type Rooms, tableRoom } from './rooms.ts';
import type { Conversation, LegacySession, Sessions } from './session.ts';

/** What this room asks of the service's state: from memory, also while MongoDB is away. */
export interface LegacySource {
  /** The tables that a reference means: any spelling of an id, a UUID, or a name. */
  resolve(reference: string): readonly TableId[];
  table(table: TableId): TableDetail | null;
  /** Whether MongoDB answers now. */
  databaseOk(): boolean;
}

export interface ConversationTools {
  readonly parts: GatewayParts;
  readonly rooms: Rooms;
  readonly sessions: Sessions;
  readonly source: LegacySource;
  /** `new_number` and `strategy_update` go to everybody, as `/emit-event` of the first server sent them. */
  readonly broadcast: boolean;
}

interface Pending {
  readonly id: number;
  readonly answer: Answer;
  readonly snapshots: SnapshotFrame[];
  /** Tables whose past was corrected while they were replayed. */
  readonly corrected: Set<string>;
}

/** What a search in a table's history takes from what a client may send, beside the packet itself. */
const HISTORY_COST = 5;

/**
 * Talks with one client of the first system. Each is a subscriber of the feed like any other: tables are taken up with
 * a snapshot or a replay, and its rooms are joined where the feed says so. `after` is what it gave in its handshake:
 * null is a first client, which is told no positions, since some cannot take an argument more than they expect.
 */
export function converse(
  socket: Socket,
  session: LegacySession,
  grant: Grant,
  after: string | null,
  tools: ConversationTools,
): Conversation {
  const { rooms, sessions, source, broadcast } = tools;
  const { delivery, options, counters } = tools.parts;
  const { allowed } = grant;
  const stands = after !== null;
  const start = after === null || after === '' ? null : parseStand(after);
  /** References that were taken up from `start`: once each, since later it is long past. */
  const taken = new Set<string>();
  const pending: Pending[] = [];
  let lastId = 0;
  let subscriber: Subscriber | null = null;
  let latecomer: Subscriber | null = null;

  const say = (event: string, payload: unknown, stand: string | null): void =>
    sessions.say(session, stands && stand !== null ? [event, payload, stand] : [event, payload]);

  const link: SubscriberLink = {
    send(frame) {
      if (!session.alive || session.closing) return false;
      const read = readFrame(frame);
      if (read !== null) take(read, standOf(frame, delivery));
      return sessions.paced(session, frame.text.length);
    },
    join(topic) {
      const table = tableReference(topic);
      if (table !== null && session.alive) rooms.join(session, tableRoom(table, stands));
    },
    leave(topic) {
      const table = tableReference(topic);
      if (table !== null) rooms.leave(session, tableRoom(table, stands));
    },
    close: (code) => sessions.close(session, code),
  };

  function take(frame: LegacyFrame, stand: string | null): void {
    const [first] = pending;
    switch (frame.type) {
      case 'snapshot':
        first?.snapshots.push(frame);
        return;
      case 'new_number':
      case 'strategy_update':
        say(frame.type, frame, stand);
        return;
      case 'number_corrected':
      case 'number_removed':
        first?.corrected.add(frame.roleta_id);
        return;
      case 'subscribed': {
        const request = settle(frame.id);
        if (request !== null) subscribed(request, frame.topics);
        return;
      }
      case 'unsubscribed':
        settle(frame.id)?.answer({ ok: true, roletas: frame.topics.map((topic) => tableReference(topic)) });
        return;
      case 'error': {
        const { code, message } = frame;
        settle(frame.id ?? 0)?.answer({ ok: false, error: message, code });
        sessions.say(session, ['error', { code, message }]);
        return;
      }
      case 'status':
        return;
      default:
        frame satisfies never;
    }
  }

  function settle(id: number): Pending | null {
    const at = pending.findIndex((request) => request.id === id);
    return at < 0 ? null : (pending.splice(at, 1)[0] ?? null);
  }

  function subscribed({ snapshots, corrected, answer }: Pending, topics: readonly TopicAnswer[]): void {
    const now = [...corrected].flatMap((table) => source.resolve(table));
    const fresh = now.map((table) => source.table(table)).filter((state) => state !== null);
    const histories = [...snapshots, ...fresh];
    const [newest] = histories;
    if (newest !== undefined) {
      say('recent_history', recentHistory(histories), formatStand(newest.epoch, newest.position, false));
    }
    for (const snapshot of snapshots) {
      const strategy = strategyOf(snapshot);
      if (strategy !== null) sessions.say(session, ['strategy_update', strategy]);
    }
    answer({ ok: true, roletas: topics.map(({ topic, ...rest }) => ({ roleta_id: tableReference(topic), ...rest })) });
  }

  function from(asked: Asked): Stand | null {
    if (broadcast) return null;
    if (asked.after !== null) return asked.after === '' ? null : parseStand(asked.after);
    if (start === null || taken.has(asked.reference) || taken.size >= options.maxTopics) return null;
    taken.add(asked.reference);
    return start;
  }

  function request(answer: Answer): number {
    lastId += 1;
    pending.push({ id: lastId, answer, snapshots: [], corrected: new Set() });
    subscriber ??= delivery.open(link, { allowed, maxTopics: options.maxTopics });
    return lastId;
  }

  const topicAsked = (value: unknown): Asked => {
    const asked = askedOf(value);
    if (asked !== null && asked.reference !== '*') return asked;
    throw new ProtocolError(asked === null ? 'invalid' : 'unknown_topic');
  };

  function subscribe(value: unknown, answer: Answer): void {
    const asked = topicAsked(value);
    counters.framesIn.subscribe += 1;
    const id = request(answer);
    subscriber?.subscribe(subscribeTo(id, topicOf(asked.reference), from(asked), RECENT));
  }

  function unsubscribe(value: unknown, answer: Answer): void {
    const { reference } = topicAsked(value);
    counters.framesIn.unsubscribe += 1;
    const id = request(answer);
    subscriber?.unsubscribe(id, [topicOf(reference)]);
  }

  function history(value: unknown): void {
    if (!sessions.allow(session, HISTORY_COST)) return;
    const asked = askedOf(value);
    if (asked === null) {
      sessions.say(session, ['history_error', { error: 'ID da roleta é obrigatório' }]);
      return;
    }
    const visible = source.resolve(asked.reference).filter((table) => allowed === null || allowed.has(table));
    const [state] = visible.map((table) => source.table(table)).filter((table) => table !== null);
    if (state === undefined) sessions.say(session, ['history_error', { error: 'Roleta não encontrada' }]);
    else sessions.say(session, ['history_data', historyData(asked.reference, state)]);
  }

  const hearAll = (): void => {
    for (const room of allRooms(allowed, stands)) rooms.join(session, room);
  };

  function missed(frame: EventFrame, stand: string | null): void {
    if (broadcast) say(frame.type, frame, stand);
    say(frame.type === 'new_number' ? 'global_update' : 'global_strategy_update', frame, stand);
  }

  const hear = hearing(socket, session, sessions);
  hear('subscribe_to_roleta', subscribe);
  hear('subscribe', subscribe);
  hear('unsubscribe_from_roleta', unsubscribe);
  hear('unsubscribe', unsubscribe);
  hear('request_history', history);
  hear('new_number', () => {
    throw new ProtocolError('forbidden', {
      message: 'Numbers come by POST /api/v1/numbers or by MongoDB, not by here.',
    });
  });

  sessions.say(session, ['connection_status', { connected: true, mongodb: source.databaseOk() }]);
  sessions.say(session, ['connection_success', { status: 'connected' }]);
  rooms.join(session, 'everyone');
  if (start === null) hearAll();
  else {
    latecomer = catchUp(
      start,
      session,
      sessions,
      delivery,
      { allowed, maxTopics: options.maxTopics },
      {
        missed,
        over(recovery) {
          hearAll();
          sessions.say(session, ['recovery_status', recovery]);
        },
      },
    );
  }

  return {
    drained() {
      latecomer?.drained();
      subscriber?.drained();
    },
    closed() {
      rooms.leaveAll(session);
      latecomer?.closed();
      subscriber?.closed();
    },
  };
}
