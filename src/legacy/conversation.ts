import type { Socket } from 'socket.io';
import type { Grant } from '../gateway/door/access.ts';
import type { TableDetail } from '../gateway/http/deps.ts';
import type { GatewayParts } from '../gateway/live/parts.ts';
import { formatLastPosition, type LastPosition, parseLastPosition } from '../gateway/live/topics-query.ts';
import type { Subscriber, SubscriberLink } from '../protocol/delivery.ts';
import { type CloseCode, ProtocolError } from '../protocol/errors.ts';
import { type Frame, tableReference, topicOf } from '../protocol/messages.ts';
import type { TableId } from '../roulette/table.ts';
import { catchUp, positionOf, subscribeTo } from './catch-up.ts';
import {
  type EventFrame,
  historyData,
  type LegacyFrame,
  type Packet,
  RECENT,
  readFrame,
  recentHistory,
  type SnapshotFrame,
  strategyOf,
  type TopicAnswer,
} from './payloads.ts';
import { type AnswerCallback, askedOf, hearing, type TopicAsked } from './requests.ts';
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
  readonly answer: AnswerCallback;
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
export class ClientConversation implements Conversation, SubscriberLink {
  readonly #session: LegacySession;
  readonly #tools: ConversationTools;
  readonly #allowed: Grant['allowed'];
  readonly #withPositions: boolean;
  readonly #start: LastPosition | null;
  /** References that were taken up from `start`: once each, since later it is long past. */
  readonly #taken = new Set<string>();
  readonly #pending: Pending[] = [];
  /** Tables that an earlier request came to mean, and whose snapshots follow. */
  readonly #resolved = new Set<string>();
  #lastId = 0;
  #subscriber: Subscriber | null = null;
  #latecomer: Subscriber | null = null;

  constructor(session: LegacySession, { allowed }: Grant, after: string | null, tools: ConversationTools) {
    this.#session = session;
    this.#tools = tools;
    this.#allowed = allowed;
    this.#withPositions = after !== null;
    this.#start = after === null || after === '' ? null : parseLastPosition(after);
  }

  /** Takes what the client sends, and greets it. */
  begin(socket: Socket): void {
    const { rooms, sessions, source } = this.#tools;
    const session = this.#session;
    const hear = hearing(socket, session, sessions);
    for (const event of ['subscribe_to_roleta', 'subscribe'])
      hear(event, (value, answer) => this.#subscribe(value, answer));
    for (const event of ['unsubscribe_from_roleta', 'unsubscribe'])
      hear(event, (value, answer) => this.#unsubscribe(value, answer));
    hear('request_history', (value) => this.#older(value));
    hear('new_number', () => {
      throw new ProtocolError('forbidden', {
        message: 'Numbers come by POST /api/v1/numbers or by MongoDB, not by here.',
      });
    });
    sessions.send(session, ['connection_status', { connected: true, mongodb: source.databaseOk() }]);
    sessions.send(session, ['connection_success', { status: 'connected' }]);
    rooms.join(session, 'everyone');
    if (this.#start === null) this.#hearAll();
    else this.#catchUp(this.#start);
  }

  drained(): void {
    this.#latecomer?.drained();
    this.#subscriber?.drained();
  }

  closed(): void {
    this.#tools.rooms.leaveAll(this.#session);
    this.#latecomer?.closed();
    this.#subscriber?.closed();
  }

  topics(): readonly string[] {
    return this.#subscriber?.heardTopics() ?? [];
  }

  sent(): number {
    return this.#tools.rooms.sentTo(this.#session);
  }

  // What the feed does.

  send(frame: Frame): boolean {
    const { sessions, parts } = this.#tools;
    const session = this.#session;
    if (!session.alive || session.closing) return false;
    const read = readFrame(frame);
    if (read !== null) this.#take(read, positionOf(frame, parts.delivery));
    return sessions.paced(session, frame.text.length);
  }

  join(topic: string): void {
    const table = tableReference(topic);
    if (table !== null && this.#session.alive)
      this.#tools.rooms.join(this.#session, tableRoom(table, this.#withPositions));
  }

  leave(topic: string): void {
    const table = tableReference(topic);
    if (table !== null) this.#tools.rooms.leave(this.#session, tableRoom(table, this.#withPositions));
  }

  close(code: CloseCode): void {
    this.#tools.sessions.close(this.#session, code);
  }

  #take(frame: LegacyFrame, position: string | null): void {
    const [first] = this.#pending;
    switch (frame.type) {
      case 'resolved':
        this.#resolved.add(frame.roleta_id);
        return;
      case 'snapshot':
        if (this.#resolved.delete(frame.roleta_id)) this.#history([frame]);
        else first?.snapshots.push(frame);
        return;
      case 'new_number':
      case 'strategy_update':
        this.#send(frame.type, frame, position);
        return;
      case 'number_corrected':
      case 'number_removed':
        first?.corrected.add(frame.roleta_id);
        return;
      case 'subscribed': {
        const request = this.#settle(frame.id);
        if (request !== null) this.#subscribed(request, frame.topics);
        return;
      }
      case 'unsubscribed':
        this.#settle(frame.id)?.answer({ ok: true, roletas: frame.topics.map((topic) => tableReference(topic)) });
        return;
      case 'error': {
        const { code, message } = frame;
        this.#settle(frame.id ?? 0)?.answer({ ok: false, error: message, code });
        this.#tools.sessions.send(this.#session, ['error', { code, message }]);
        return;
      }
      case 'status':
        return;
      default:
        frame satisfies never;
    }
  }

  #send(event: string, payload: unknown, position: string | null): void {
    const packet: Packet = this.#withPositions && position !== null ? [event, payload, position] : [event, payload];
    this.#tools.sessions.send(this.#session, packet);
  }

  #settle(id: number): Pending | null {
    const at = this.#pending.findIndex((request) => request.id === id);
    return at < 0 ? null : (this.#pending.splice(at, 1)[0] ?? null);
  }

  #subscribed({ snapshots, corrected, answer }: Pending, topics: readonly TopicAnswer[]): void {
    const { source } = this.#tools;
    const now = [...corrected].flatMap((table) => source.resolve(table));
    const fresh = now.map((table) => source.table(table)).filter((state) => state !== null);
    this.#history(snapshots, fresh);
    answer({ ok: true, roletas: topics.map(answerOf) });
  }

  /** The last numbers and the strategies of tables, and the numbers of others that were corrected meanwhile. */
  #history(snapshots: readonly SnapshotFrame[], corrected: readonly TableDetail[] = []): void {
    const histories = [...snapshots, ...corrected];
    const [newest] = histories;
    if (newest !== undefined) {
      const position = formatLastPosition(newest.epoch, newest.position, false);
      this.#send('recent_history', recentHistory(histories), position);
    }
    for (const snapshot of snapshots) {
      const strategy = strategyOf(snapshot);
      if (strategy !== null) this.#tools.sessions.send(this.#session, ['strategy_update', strategy]);
    }
  }

  // What the client asks.

  #subscribe(value: unknown, answer: AnswerCallback): void {
    const asked = topicAsked(value);
    this.#tools.parts.counters.framesIn.subscribe += 1;
    const [subscriber, id] = this.#request(answer);
    subscriber.subscribe(subscribeTo(id, topicOf(asked.reference), this.#from(asked), RECENT));
  }

  #unsubscribe(value: unknown, answer: AnswerCallback): void {
    const { reference } = topicAsked(value);
    this.#tools.parts.counters.framesIn.unsubscribe += 1;
    const [subscriber, id] = this.#request(answer);
    subscriber.unsubscribe(id, [topicOf(reference)]);
  }

  #request(answer: AnswerCallback): [Subscriber, number] {
    const { delivery, options } = this.#tools.parts;
    this.#lastId += 1;
    this.#pending.push({ id: this.#lastId, answer, snapshots: [], corrected: new Set() });
    this.#subscriber ??= delivery.open(this, { allowed: this.#allowed, maxTopics: options.maxTopics });
    return [this.#subscriber, this.#lastId];
  }

  /** Where the client wants to go on from; null gives it a snapshot. */
  #from({ reference, after }: TopicAsked): LastPosition | null {
    const { broadcast, parts } = this.#tools;
    if (broadcast) return null;
    if (after !== null) return after === '' ? null : parseLastPosition(after);
    const full = this.#taken.size >= parts.options.maxTopics;
    if (this.#start === null || this.#taken.has(reference) || full) return null;
    this.#taken.add(reference);
    return this.#start;
  }

  #older(value: unknown): void {
    const { sessions, source } = this.#tools;
    const [session, allowed] = [this.#session, this.#allowed];
    if (!sessions.allow(session, HISTORY_COST)) return;
    const asked = askedOf(value);
    if (asked === null) {
      sessions.send(session, ['history_error', { error: 'ID da roleta é obrigatório' }]);
      return;
    }
    const visible = source.resolve(asked.reference).filter((table) => allowed === null || allowed.has(table));
    const [state] = visible.map((table) => source.table(table)).filter((table) => table !== null);
    if (state === undefined) sessions.send(session, ['history_error', { error: 'Roleta não encontrada' }]);
    else sessions.send(session, ['history_data', historyData(asked.reference, state)]);
  }

  #hearAll(): void {
    for (const room of allRooms(this.#allowed, this.#withPositions)) this.#tools.rooms.join(this.#session, room);
  }

  #catchUp(start: LastPosition): void {
    const { sessions, parts } = this.#tools;
    const limits = { allowed: this.#allowed, maxTopics: parts.options.maxTopics };
    this.#latecomer = catchUp(start, this.#session, sessions, parts.delivery, limits, {
      missed: (frame, position) => this.#missed(frame, position),
      over: (recovery) => {
        this.#hearAll();
        sessions.send(this.#session, ['recovery_status', recovery]);
      },
    });
  }

  #missed(frame: EventFrame, position: string | null): void {
    if (this.#tools.broadcast) this.#send(frame.type, frame, position);
    this.#send(frame.type === 'new_number' ? 'global_update' : 'global_strategy_update', frame, position);
  }
}

/** How a topic was taken up; what is pending is named as it was asked for. */
const answerOf = ({ topic, pending, ...rest }: TopicAnswer): Readonly<Record<string, unknown>> =>
  pending === true
    ? { referencia: tableReference(topic), pending, ...rest }
    : { roleta_id: tableReference(topic), ...rest };

/** Throws `invalid` or `unknown_topic` for what names no single table. */
function topicAsked(value: unknown): TopicAsked {
  const asked = askedOf(value);
  if (asked !== null && asked.reference !== '*') return asked;
  throw new ProtocolError(asked === null ? 'invalid' : 'unknown_topic');
}
