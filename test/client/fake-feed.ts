import {
  ALL_TABLES,
  type Cor,
  type EventMessage,
  type NumberItem,
  type ServerMessage,
  type Snapshot,
  type StrategyItem,
  type TopicResult,
  tableReference,
  topicOf,
} from '../../src/protocol/messages.ts';
import { isPosition, ORIGIN, type Position, positionOf } from '../../src/protocol/position.ts';

/** What a subscribe says, from whichever transport. */
export interface FakeSubscribe {
  readonly topics: readonly { topic: string; after?: string; epoch?: string; owed?: boolean; history?: number }[];
  readonly epoch?: string;
}

export interface FakeAnswer {
  readonly frames: readonly ServerMessage[];
  readonly held: readonly string[];
  readonly results: readonly TopicResult[];
}

interface FakeTable {
  readonly id: string;
  nome: string;
  numeros: NumberItem[];
  estrategia: StrategyItem | null;
  floor: Position;
  prev: Position | null;
}

const RED = new Set([1, 3, 5, 7, 9, 12, 14, 16, 18, 19, 21, 23, 25, 27, 30, 32, 34, 36]);
/** 37 is the double zero. */
export const corOf = (numero: number): Cor =>
  numero === 0 || numero === 37 ? 'verde' : RED.has(numero) ? 'vermelho' : 'preto';

const newestFirst = (a: NumberItem, b: NumberItem): number =>
  Date.parse(b.timestamp) - Date.parse(a.timestamp) || (a.id < b.id ? 1 : -1);

/** An in-memory source that keeps the delivery rules, for peers of the client. Time is the caller's. */
export function createFakeFeed(now: () => number, tables: readonly { id: string; nome: string }[]) {
  let epoch = 'e1';
  let increment = 0;
  let serial = 0;
  let delivered: Position = positionOf({ t: Math.floor(now() / 1000), i: 1 }, 0xffffff);
  let ring: EventMessage[] = [];
  let ringFloor: Position = ORIGIN;
  /** Below it tables vanished that a client of all tables may still hold. */
  let vanished: Position = ORIGIN;
  const listeners = new Set<(message: ServerMessage, topic: string | null) => void>();
  const known = new Map<string, FakeTable>();
  const addTable = (id: string, nome: string): FakeTable => {
    const table: FakeTable = { id, nome, numeros: [], estrategia: null, floor: ORIGIN, prev: null };
    known.set(id, table);
    return table;
  };
  for (const { id, nome } of tables) addTable(id, nome);

  const publish = (message: ServerMessage, topic: string | null): void => {
    for (const listener of [...listeners]) listener(message, topic);
  };
  const next = (): Position => {
    increment += 1;
    return positionOf({ t: Math.floor(now() / 1000), i: 1 + increment }, 0);
  };
  const tableOf = (id: string): FakeTable => {
    const table = known.get(id);
    if (table) return table;
    const added = addTable(id, `Mesa ${id}`);
    publish({ type: 'table_added', topic: topicOf(id), roleta_id: id, roleta_nome: added.nome }, null);
    return added;
  };
  const emit = <T extends object>(id: string, rest: T) => {
    const table = tableOf(id);
    const position = next();
    const event = {
      topic: topicOf(id),
      position,
      prev: table.prev,
      roleta_id: id,
      roleta_nome: table.nome,
      ...rest,
    };
    table.prev = position;
    delivered = position;
    return { table, event };
  };
  const send = (event: EventMessage): EventMessage => {
    ring.push(event);
    publish(event, event.topic);
    return event;
  };
  const itemOf = (numero: number, at: number, suspeito: boolean): NumberItem => {
    serial += 1;
    const id = `n${String(serial).padStart(6, '0')}`;
    const label = numero === 37 ? ({ rotulo: '00' } as const) : {};
    const item = { id, numero, ...label, cor: corOf(numero), timestamp: new Date(at).toISOString() };
    return suspeito ? { ...item, suspeito: true } : item;
  };

  const snapshot = (id: string, history: number): Snapshot => {
    const table = tableOf(id);
    return {
      type: 'snapshot',
      topic: topicOf(id),
      epoch,
      position: delivered,
      roleta_id: id,
      roleta_nome: table.nome,
      numeros: [...table.numeros].sort(newestFirst).slice(0, history),
      estrategia: table.estrategia,
      stale: false,
    };
  };

  const resolve = (topic: string): readonly string[] => {
    const reference = tableReference(topic) ?? '';
    if (topic === ALL_TABLES) return [...known.keys()];
    if (/^\d{7}$/.test(reference)) return [reference];
    return [...known.values()].filter(({ nome }) => nome === reference).map(({ id }) => id);
  };

  return {
    get epoch() {
      return epoch;
    },
    get delivered() {
      return delivered;
    },
    get ring(): readonly EventMessage[] {
      return ring;
    },
    tables: known,
    onPublish(listener: (message: ServerMessage, topic: string | null) => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    publish,
    snapshot,

    number(id: string, numero: number, options: { at?: number; suspeito?: boolean } = {}): EventMessage {
      const item = itemOf(numero, options.at ?? now(), options.suspeito ?? false);
      const { table, event } = emit(id, { type: 'new_number' as const, ...item });
      table.numeros.push(item);
      return send(event);
    },
    /** Numbers from before the window: they are in snapshots, and no event ever told of them. */
    past(id: string, numeros: readonly number[]): void {
      const table = tableOf(id);
      numeros.forEach((numero, index) => {
        table.numeros.push(itemOf(numero, now() - (numeros.length - index) * 40_000, false));
      });
      delivered = next();
      table.floor = delivered;
      table.prev = null;
    },
    remove(id: string, itemId: string): EventMessage {
      const { table, event } = emit(id, { type: 'number_removed' as const, id: itemId });
      table.numeros = table.numeros.filter((item) => item.id !== itemId);
      return send(event);
    },
    correct(id: string, itemId: string, numero: number): EventMessage | null {
      const before = known.get(id)?.numeros.find((item) => item.id === itemId);
      if (!before) return null;
      const item = { ...before, numero, cor: corOf(numero) };
      const { table, event } = emit(id, { type: 'number_corrected' as const, ...item });
      table.numeros = table.numeros.map((each) => (each.id === itemId ? item : each));
      return send(event);
    },
    strategy(id: string, estrategia: StrategyItem): EventMessage {
      const { table, event } = emit(id, { type: 'strategy_update' as const, ...estrategia });
      table.estrategia = estrategia;
      return send(event);
    },
    /** What replays cannot cross: everybody gets a reset at once, and a snapshot with `settle`. */
    drop(id: string): void {
      const table = tableOf(id);
      delivered = next();
      table.floor = delivered;
      table.numeros = [];
      table.prev = null;
      publish({ type: 'reset', topic: topicOf(id), reason: 'drop', epoch }, topicOf(id));
    },
    settle(id: string): void {
      publish(snapshot(id, 20), topicOf(id));
    },
    /** A table goes away while nobody listens, and no instance remembers it. */
    vanish(id: string): void {
      known.delete(id);
      ring = ring.filter((event) => event.roleta_id !== id);
      vanished = next();
      delivered = vanished;
    },
    sync(): void {
      delivered = next();
      publish({ type: 'sync', position: delivered }, null);
    },
    forgetRing(): void {
      ring = [];
      ringFloor = next();
      delivered = ringFloor;
    },
    /** The database was restored: another epoch, earlier positions are worth nothing. */
    restore(name: string): void {
      epoch = name;
      ring = [];
      ringFloor = next();
      delivered = ringFloor;
      for (const table of known.values()) {
        table.prev = null;
        publish({ type: 'reset', topic: topicOf(table.id), reason: 'restored', epoch }, topicOf(table.id));
        publish(snapshot(table.id, 20), topicOf(table.id));
      }
    },

    /** Serves a subscribe as the protocol says, up to and without its `subscribed`; null when a topic is unknown. */
    take(request: FakeSubscribe, alreadyHeld: ReadonlySet<string>): FakeAnswer | null {
      const cursors = new Map<string, { at: Position | null; history: number; replayed: number }>();
      const results: TopicResult[] = [];
      const held: string[] = [];
      const frames: ServerMessage[] = [];
      for (const asked of request.topics) {
        const ids = resolve(asked.topic);
        if (ids.length === 0 && asked.topic !== ALL_TABLES) return null;
        const star = asked.topic === ALL_TABLES;
        const sameEpoch = (asked.epoch ?? request.epoch ?? epoch) === epoch;
        const forget = star && asked.after !== undefined && (asked.owed || !sameEpoch || asked.after < vanished);
        if (forget) frames.push({ type: 'reset', topic: ALL_TABLES, reason: 'unknown', epoch });
        for (const id of ids) {
          if (cursors.has(id) || (star && !forget && alreadyHeld.has(topicOf(id)))) continue;
          const floor = [tableOf(id).floor, ringFloor].sort()[1] ?? ORIGIN;
          const { after } = asked;
          const good = !forget && isPosition(after) && sameEpoch && !asked.owed && after >= floor && after <= delivered;
          cursors.set(id, { at: good ? after : null, history: asked.history ?? 20, replayed: 0 });
          if (star) continue;
          held.push(topicOf(id));
          results.push(
            good
              ? { topic: topicOf(id), recovered: true, replayed: 0 }
              : { topic: topicOf(id), recovered: false, reason: after === undefined ? 'new' : 'too_old' },
          );
        }
        if (star) {
          held.push(ALL_TABLES);
          const replayed = [...cursors.values()].every(({ at }) => at !== null);
          results.push(
            replayed && asked.after !== undefined
              ? { topic: ALL_TABLES, recovered: true, replayed: 0 }
              : { topic: ALL_TABLES, recovered: false, reason: asked.after === undefined ? 'new' : 'too_old' },
          );
        }
      }
      for (const [id, cursor] of cursors) {
        if (cursor.at !== null) continue;
        frames.push(snapshot(id, cursor.history));
        cursor.at = delivered;
      }
      for (const event of ring) {
        const cursor = cursors.get(event.roleta_id);
        if (cursor?.at && event.position > cursor.at) {
          frames.push(event);
          cursor.at = event.position;
        }
      }
      return { frames, held, results };
    },
  };
}

export type FakeFeed = ReturnType<typeof createFakeFeed>;
