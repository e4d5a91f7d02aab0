import { isFields } from '../../src/client/read.ts';
import type { Link, LinkClosed, LinkSink, Transport } from '../../src/client/transport.ts';
import { ALL_TABLES, type ServerMessage } from '../../src/protocol/messages.ts';
import type { FakeFeed, FakeSubscribe } from './fake-feed.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** One connection as the scripted server has it. */
export interface FakeConnection {
  readonly openedAt: number;
  readonly received: Record<string, unknown>[];
  readonly held: Set<string>;
  readonly open: boolean;
  /** Puts a frame, right or wrong, on the way to the client. */
  send(frame: unknown): void;
  /** Ends the connection; what is still on the way is lost, as with a broken network, unless `flush`. */
  cut(code: number, options?: { reason?: string; flush?: boolean }): void;
}

export interface FakeNetworkOptions {
  readonly latencyMs?: () => number;
  readonly pingS?: number;
  readonly auth?: 'none' | 'jwt';
  readonly topics?: number;
  readonly frameBytes?: number;
}

/** Reads a subscribe without trusting it; the frames that the client sends are checked by the tests themselves. */
export function subscribeOf(frame: Record<string, unknown>): FakeSubscribe {
  const topics = Array.isArray(frame['topics']) ? frame['topics'] : [];
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
  return {
    ...(text(frame['epoch']) === undefined ? {} : { epoch: String(frame['epoch']) }),
    topics: topics.filter(isFields).map((item) => ({
      topic: String(item['topic']),
      owed: item['owed'] === true,
      ...(text(item['after']) === undefined ? {} : { after: String(item['after']) }),
      ...(text(item['epoch']) === undefined ? {} : { epoch: String(item['epoch']) }),
      ...(typeof item['history'] === 'number' ? { history: item['history'] } : {}),
    })),
  };
}

/** A server at the other end of virtual wires: it follows the protocol until a script makes it lie. */
export function createFakeNetwork(feed: FakeFeed, clock: VirtualClock, options: FakeNetworkOptions = {}) {
  const connections: FakeConnection[] = [];
  const latency = options.latencyMs ?? (() => 5);
  const script: {
    /** Answers instead of the server when it returns true. */
    answer: (frame: Record<string, unknown>, connection: FakeConnection) => boolean;
    /** Refuses connections with this. */
    refuse: LinkClosed | null;
    /** Nothing reaches anybody any more, and nobody is told. */
    halfOpen: boolean;
    /** Changes, repeats or drops what is sent. */
    bend: (message: ServerMessage) => readonly unknown[];
  } = { answer: () => false, refuse: null, halfOpen: false, bend: (message) => [message] };

  const connect = (sink: LinkSink): Link => {
    let open = true;
    const held = new Set<string>();
    let arrival = clock.now();
    const later = (task: () => void): void => {
      // Frames of one connection keep their order, whatever the latency is.
      arrival = Math.max(arrival, clock.now() + latency());
      clock.after(arrival - clock.now(), () => {
        if (open && !script.halfOpen) task();
      });
    };
    const connection: FakeConnection = {
      openedAt: clock.now(),
      received: [],
      held,
      get open() {
        return open;
      },
      send: (frame) => later(() => sink.frame(frame)),
      cut(code, { reason = '', flush = false } = {}) {
        const end = (): void => {
          open = false;
          stop();
          sink.closed({ code, reason });
        };
        if (flush) later(end);
        else if (open) end();
      },
    };
    const say = (message: ServerMessage): void => {
      for (const frame of script.bend(message)) connection.send(frame);
    };
    const stop = feed.onPublish((message, topic) => {
      if (!open || held.size === 0) return;
      if (message.type === 'resolved') held.add(message.topic);
      if (topic === null || held.has(topic) || held.has(ALL_TABLES)) say(message);
    });

    const take = (frame: Record<string, unknown>): void => {
      connection.received.push(frame);
      if (script.answer(frame, connection)) return;
      const id = typeof frame['id'] === 'number' || typeof frame['id'] === 'string' ? frame['id'] : 0;
      switch (frame['type']) {
        case 'subscribe': {
          const answer = feed.take(subscribeOf(frame), held);
          if (!answer) {
            say({ type: 'error', id, code: 'unknown_topic', message: 'No table has this name.', retry: 'never' });
            return;
          }
          for (const message of answer.frames) say(message);
          if (answer.held.includes(ALL_TABLES)) held.clear();
          for (const topic of held.has(ALL_TABLES) ? [] : answer.held) held.add(topic);
          const { epoch, delivered: position } = feed;
          say({ type: 'subscribed', id, epoch, position, topics: answer.results });
          return;
        }
        case 'unsubscribe': {
          const topics = Array.isArray(frame['topics']) ? frame['topics'].map(String) : [];
          for (const topic of topics) held.delete(topic);
          say({ type: 'unsubscribed', id, topics });
          return;
        }
        case 'ping':
          say({ type: 'pong', id, position: feed.delivered });
          return;
        case 'auth':
          say({ type: 'authenticated', expires: null });
      }
    };

    connections.push(connection);
    later(() => {
      if (script.refuse) {
        open = false;
        stop();
        sink.closed(script.refuse);
        return;
      }

      say({
        type: 'hello',
        protocol: 1,
        server: 'fake',
        instance: 'k3f9',
        epoch: feed.epoch,
        position: feed.delivered,
        ping_s: options.pingS ?? 25,
        recovery_s: 600,
        auth: options.auth ?? 'none',
        limits: { topics: options.topics ?? 100, frame_bytes: options.frameBytes ?? 4096 },
      });
    });
    return {
      send(frame) {
        const copy: unknown = JSON.parse(JSON.stringify(frame));
        if (!isFields(copy)) throw new TypeError('no frame');
        later(() => take({ ...copy }));
      },
      close() {
        open = false;
        stop();
      },
    };
  };

  const transport: Transport = {
    name: 'websocket',
    duplex: true,
    open: (_target, sink) => connect(sink),
  };
  return {
    transport,
    connections,
    script,
    latest(): FakeConnection {
      const connection = connections.at(-1);
      if (!connection) throw new Error('nobody connected');
      return connection;
    },
  };
}

export type FakeNetwork = ReturnType<typeof createFakeNetwork>;
