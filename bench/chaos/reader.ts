import { createFollower, type Follower, type Message } from './follower.ts';
import { FAST, type Instance, type Pace, type Wire } from './instance.ts';

/** Something that a reader can connect to. */
export interface Server {
  connect(events: { frame(text: string): void; closed(code: number): void }, pace: Pace): Wire;
}

/** A follower that keeps itself connected: to the servers in turn, again after each end. */
export interface Reader {
  readonly follower: Follower;
  readonly connects: number;
  /** Codes with which servers ended its connections. */
  readonly closes: readonly number[];
  /** Every message in its order, over all connections; the newest ones only, where that many come that it matters. */
  readonly messages: readonly Message[];
  /** Cuts the connection, losing what is on its way, and stays away until `come`. */
  leave(): void;
  /** Connects, to this server or to the next in turn. */
  come(server?: Server): void;
  /** Cuts and connects to the next server at once. */
  move(server?: Server): void;
  /** Resolves when the condition holds, looked at after every message. */
  until(condition: () => boolean): Promise<void>;
}

const MAX_MESSAGES = 50_000;

/** Spread, since hundreds of readers lose their connections at once. */
const reconnectMs = (): number => 20 + Math.random() * 80;

/** Starts one, connected to the first server. `wanted` null is all tables. */
export function startReader(
  name: string,
  wanted: readonly string[] | null,
  servers: () => readonly Server[],
  pace: Pace = FAST,
): Reader {
  const follower = createFollower(name, wanted);
  const messages: Message[] = [];
  const closes: number[] = [];
  const looks = new Set<() => void>();
  let wire: Wire | null = null;
  let away = false;
  let connects = 0;

  const look = (): void => {
    for (const wake of [...looks]) wake();
  };
  const come = (server?: Server): void => {
    away = false;
    if (wire !== null) return;
    const list = servers();
    const target = server ?? list[connects % Math.max(1, list.length)];
    if (target === undefined) {
      setTimeout(() => !away && come(), reconnectMs()).unref();
      return;
    }
    connects++;
    const opened = target.connect(
      {
        frame(text) {
          if (wire !== opened) return;
          const message: Message = JSON.parse(text);
          messages.push(message);
          if (messages.length > MAX_MESSAGES) messages.splice(0, MAX_MESSAGES / 2);
          follower.receive(message);
          look();
        },
        closed(code) {
          if (wire !== opened) return;
          closes.push(code);
          wire = null;
          follower.cut();
          look();
          if (!away) setTimeout(() => !away && come(), reconnectMs()).unref();
        },
      },
      pace,
    );
    wire = opened;
    opened.subscribe(follower.request());
  };
  const leave = (): void => {
    away = true;
    const old = wire;
    wire = null;
    old?.cut();
    if (old !== null) follower.cut();
  };
  come();
  return {
    follower,
    messages,
    closes,
    get connects() {
      return connects;
    },
    leave,
    come,
    move(server) {
      leave();
      come(server);
    },
    until: (condition) =>
      new Promise((resolve) => {
        const wake = (): void => {
          if (!condition()) return;
          looks.delete(wake);
          resolve();
        };
        looks.add(wake);
        wake();
      }),
  };
}

/** Readers of every kind over the same servers: all tables fast and slow, single tables fast and slow. */
export function startReaders(tables: readonly string[], servers: () => readonly Instance[]): Reader[] {
  const [first] = tables;
  const one = first === undefined ? [] : [first];
  return [
    startReader('all', null, servers),
    startReader('each', tables, servers),
    startReader('all, slow', null, servers, { perTurn: 3, room: 2 }),
    startReader('one, slow', one, servers, { perTurn: 1, room: 1 }),
  ];
}
