import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { ServerSocket, SocketBehavior } from './network.ts';
import { frameOf, type PublishedBatch, type TopicMember, type Topics } from './node-topics.ts';

/** Seconds between two looks at all sockets. */
const SWEEP_SECONDS = 4;

/** Looks between the automatic ping and the close of a peer that stays away: 16 s, as uWebSockets.js has it. */
const PONG_WAIT_SWEEPS = 4;

/** Code of a connection that ended without a close frame (RFC 6455, 7.4.1). */
const ABNORMAL_CLOSURE = 1006;

const NOTHING = Buffer.alloc(0);

interface Swept {
  sweep(): void;
  close(): void;
}

/** All WebSockets of one server. One timer looks at all of them instead of one timer each. */
export class Sockets {
  /** Counts the looks: a clock that costs nothing to read. */
  sweeps = 0;
  readonly topics: Topics;
  readonly #open = new Set<Swept>();
  readonly #timer: NodeJS.Timeout;

  constructor(topics: Topics) {
    this.topics = topics;
    this.#timer = setInterval(() => {
      this.sweeps += 1;
      for (const socket of this.#open) socket.sweep();
    }, SWEEP_SECONDS * 1000);
    this.#timer.unref();
  }

  add(socket: Swept): void {
    this.#open.add(socket);
  }

  remove(socket: Swept): void {
    this.#open.delete(socket);
  }

  /** Cuts all of them. */
  close(): void {
    clearInterval(this.#timer);
    for (const socket of [...this.#open]) socket.close();
  }
}

/**
 * A WebSocket of `ws`. Messages go out past it, straight to the connection, so that one encoded frame serves all
 * sockets of a topic; its own control frames never overtake them, since it neither compresses nor queues.
 */
export class NodeSocket<Data> implements ServerSocket<Data>, TopicMember {
  batch: PublishedBatch | null = null;
  #closed = false;
  #draining = false;
  #dropped = false;
  #heardAt: number;
  readonly #joined = new Set<string>();
  readonly #data: Data;
  readonly #behavior: SocketBehavior<Data>;
  readonly #ws: WebSocket;
  readonly #connection: Socket;
  readonly #sockets: Sockets;

  /** Takes over a connection whose handshake is answered; `start` follows. */
  constructor(ws: WebSocket, connection: Socket, data: Data, behavior: SocketBehavior<Data>, sockets: Sockets) {
    this.#ws = ws;
    this.#connection = connection;
    this.#data = data;
    this.#behavior = behavior;
    this.#sockets = sockets;
    this.#heardAt = sockets.sweeps;
  }

  start(): void {
    const behavior = this.#behavior;
    this.#sockets.add(this);
    this.#ws.on('message', (message: Buffer, isBinary) => {
      this.#heard();
      if (!this.#closed) this.cork(() => behavior.message(this, new Uint8Array(message).buffer, isBinary));
    });
    this.#ws.on('ping', (payload) => {
      this.#heard();
      if (this.#closed) return;
      // Answered here, since `ws` itself cuts who pings faster than the event loop turns.
      if (this.getBufferedAmount() <= behavior.maxBackpressure) this.#ws.pong(payload);
      behavior.ping?.(this);
    });
    this.#ws.on('pong', () => this.#heard());
    this.#ws.on('close', (code, reason) => this.#gone(code, new Uint8Array(reason).buffer));
    // A broken frame or connection; `close` follows, which is all that anybody asks about.
    this.#ws.on('error', () => undefined);
    this.cork(() => behavior.open(this));
  }

  #heard(): void {
    this.#heardAt = this.#sockets.sweeps;
  }

  /** Pings who is silent for long, and cuts who stays so. */
  sweep(): void {
    const silent = this.#sockets.sweeps - this.#heardAt;
    const limit = Math.ceil(this.#behavior.idleTimeout / SWEEP_SECONDS);
    if (silent > limit) this.close();
    else if (silent === limit - PONG_WAIT_SWEEPS) this.#ws.ping();
  }

  getUserData(): Data {
    return this.#data;
  }

  getBufferedAmount(): number {
    return this.#connection.writableLength;
  }

  /** Sends what this turn published so far. */
  flush(): void {
    const { batch } = this;
    if (batch === null) return;
    this.batch = null;
    this.#write(batch.bytes());
  }

  send(message: string | ArrayBuffer, isBinary = false): void {
    this.flush();
    this.#write(frameOf(message, isBinary));
  }

  #write(bytes: Buffer): void {
    if (this.#closed || this.#dropped) return;
    if (this.getBufferedAmount() > this.#behavior.maxBackpressure) {
      this.#dropped = true;
      // Not in the caller's own call, which may be in the middle of a fan-out.
      setImmediate(() => this.close());
      this.#behavior.dropped(this);
      return;
    }
    this.#connection.write(bytes);
    this.#watch();
  }

  /** Asks to be told when what is unsent was taken. `drain` of a stream says so only above its high-water mark. */
  #watch(): void {
    const { writableCorked, writableLength } = this.#connection;
    if (this.#draining || this.#closed || writableCorked > 0 || writableLength === 0) return;
    this.#draining = true;
    this.#connection.write(NOTHING, () => {
      this.#draining = false;
      if (!this.#closed) this.#behavior.drain?.(this);
    });
  }

  subscribe(topic: string): void {
    if (this.#closed) return;
    this.#joined.add(topic);
    this.#sockets.topics.join(topic, this);
  }

  unsubscribe(topic: string): void {
    this.#joined.delete(topic);
    this.#sockets.topics.leave(topic, this);
  }

  cork(act: () => void): void {
    this.#connection.cork();
    try {
      act();
    } finally {
      this.#connection.uncork();
      this.#watch();
    }
  }

  end(code?: number, reason?: string): void {
    if (this.#closed) return;
    this.flush();
    this.#ws.close(code, reason);
    this.#gone(code ?? ABNORMAL_CLOSURE, new ArrayBuffer(0));
  }

  close(): void {
    if (this.#closed) return;
    this.#ws.terminate();
    this.#gone(ABNORMAL_CLOSURE, new ArrayBuffer(0));
  }

  #gone(code: number, reason: ArrayBuffer): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sockets.remove(this);
    for (const topic of this.#joined) this.#sockets.topics.leave(topic, this);
    this.#joined.clear();
    this.#behavior.close(this, code, reason);
  }
}
