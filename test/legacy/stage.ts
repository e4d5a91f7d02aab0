import { io, type Socket } from 'socket.io-client';
import type { GatewayOptions } from '../../src/gateway/options.ts';
import type { LegacySource } from '../../src/legacy/conversation.ts';
import { createLegacySockets } from '../../src/legacy/socketio.ts';
import { isTableId } from '../../src/roulette/table.ts';
import { createFakeFeed } from '../support/fake-feed.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';

export const TABLE = '2010165';
export const OTHER = '2010033';

type ClientOptions = NonNullable<Parameters<typeof io>[1]>;

/** A client of the library, with everything that it was told. */
export interface Heard {
  readonly socket: Socket;
  /** Every event so far: its name and arguments. */
  readonly events: (readonly [string, ...unknown[]])[];
  /** The arguments of the n-th event of a name, present or to come; n begins at 1. */
  heard(event: string, nth?: number): Promise<readonly unknown[]>;
  /** The payloads of a name so far. */
  payloads(event: string): unknown[];
  connected(): Promise<void>;
  close(): void;
}

export interface LegacyStage extends TestGateway {
  connect(options?: ClientOptions): Heard;
  /** What the database is said to be from now on. */
  setDatabase(ok: boolean): void;
  stop(): Promise<void>;
}

/** A gateway with Socket.IO and a feed that the test drives. */
export async function startLegacyStage(
  options: Partial<GatewayOptions> = {},
  { broadcast = false, source = {} }: { broadcast?: boolean; source?: Partial<LegacySource> } = {},
): Promise<LegacyStage> {
  const feed = createFakeFeed();
  let ok = true;
  const legacy = createLegacySockets(
    {
      resolve: (reference) => (isTableId(reference) ? [reference] : []),
      table: () => null,
      databaseOk: () => ok,
      ...source,
    },
    broadcast,
  );
  const running = await startTestGateway(options, { feed, transports: [legacy.serve] });
  const clients: Heard[] = [];
  return {
    ...running,
    connect(asked = {}) {
      const client = listenTo(`http://${running.url}`, asked);
      clients.push(client);
      return client;
    },
    setDatabase(now) {
      ok = now;
    },
    async stop() {
      for (const client of clients) client.close();
      await running.gateway.stop();
      await legacy.stop();
    },
  };
}

/** Connects with the library; `forceNew`, since clients of one address would share a connection. */
export function listenTo(url: string, options: ClientOptions = {}): Heard {
  const socket = io(url, { forceNew: true, reconnectionDelay: 20, reconnectionDelayMax: 100, ...options });
  const events: (readonly [string, ...unknown[]])[] = [];
  const looks = new Set<() => void>();
  socket.onAny((event: string, ...args: unknown[]) => {
    events.push([event, ...args]);
    for (const look of [...looks]) look();
  });
  const named = (event: string) => events.filter(([name]) => name === event).map(([, ...args]) => args);
  return {
    socket,
    events,
    heard: (event, nth = 1) =>
      new Promise((resolve) => {
        const look = (): void => {
          const found = named(event)[nth - 1];
          if (found === undefined) return;
          looks.delete(look);
          resolve(found);
        };
        looks.add(look);
        look();
      }),
    payloads: (event) => named(event).map(([payload]) => payload),
    connected: () =>
      new Promise((resolve, reject) => {
        if (socket.connected) resolve();
        socket.once('connect', resolve);
        socket.once('connect_error', reject);
      }),
    close: () => void socket.close(),
  };
}
