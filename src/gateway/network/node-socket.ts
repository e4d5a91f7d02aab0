import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { ServerSocket, SocketBehavior } from './network.ts';
import { frameOf, type PublishedBatch, type TopicMember, type Topics } from './node-topics.ts';

/** Seconds between two looks at all sockets. */
export const SWEEP_SECONDS = 4;

/** Looks between the automatic ping and the close of a peer that stays away: 16 s, as uWebSockets.js has it. */
const PONG_WAIT_SWEEPS = 4;

/** Code of a connection that ended without a close frame (RFC 6455, 7.4.1). */
const ABNORMAL_CLOSURE = 1006;

/** What the sockets of one server share. */
export interface OpenSockets {
  readonly topics: Topics;
  /** All that are open: one timer looks at them every `SWEEP_SECONDS`, instead of one timer each. */
  readonly open: Set<{ sweep(): void }>;
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
  /** Looks since the peer was heard last. */
  #silentSweeps = 0;
  readonly #joined = new Set<string>();
  readonly #data: Data;
  readonly #behavior: SocketBehavior<Data>;
  readonly #ws: WebSocket;
  readonly #connection: Socket;
  readonly #shared: OpenSockets;

  /** Takes over a connection whose handshake is answered; `start` follows. */
  constructor(ws: WebSocket, connection: Socket, data: Data, behavior: SocketBehavior<Data>, shared: OpenSockets) {
    this.#ws = ws;
    this.#connection = connection;
    this.#data = data;
    this.#behavior = behavior;
    this.#shared = shared;
  }

  start(): void {
    const behavior = this.#behavior;
    const heard = (): void => {
      this.#silentSweeps = 0;
    };
    this.#shared.open.add(this);
    this.#ws.on('message', (message: Buffer, isBinary) => {
      heard();
      if (!this.#closed) this.cork(() => behavior.message(this, new Uint8Array(message).buffer, isBinary));
    });
    this.#ws.on('ping', (payload) => {
      heard();
      if (this.#closed) return;
      // Answered here, since `ws` itself cuts who pings faster than the event loop turns.
      if (this.getBufferedAmount() <= behavior.maxBackpressure) this.#ws.pong(payload);
      behavior.ping?.(this);
    });
    this.#ws.on('pong', heard);
    this.#ws.on('close', (code, reason) => this.#gone(code, new Uint8Array(reason).buffer));
    // A broken frame or connection; `close` follows, which is all that anybody asks about.
    this.#ws.on('error', () => undefined);
    this.cork(() => behavior.open(this));
  }

  /** Pings who is silent for long, and cuts who stays so. */
  sweep(): void {
    const limit = Math.ceil(this.#behavior.idleTimeout / SWEEP_SECONDS);
    this.#silentSweeps += 1;
    if (this.#silentSweeps > limit) this.close();
    else if (this.#silentSweeps === limit - PONG_WAIT_SWEEPS) this.#ws.ping();
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
  #watch(unsent = this.#connection.writableLength): void {
    if (this.#draining || this.#closed || this.#connection.writableCorked > 0 || unsent === 0) return;
    this.#draining = true;
    this.#connection.write('', () => {
      this.#draining = false;
      if (!this.#closed) this.#behavior.drain?.(this);
    });
  }

  subscribe(topic: string): void {
    if (this.#closed) return;
    this.#joined.add(topic);
    this.#shared.topics.join(topic, this);
  }

  unsubscribe(topic: string): void {
    this.#joined.delete(topic);
    this.#shared.topics.leave(topic, this);
  }

  cork(act: () => void): void {
    this.#connection.cork();
    try {
      act();
    } finally {
      const unsent = this.#connection.writableLength;
      this.#connection.uncork();
      // Also where all of it was taken at once: inside, nobody could tell.
      this.#watch(unsent);
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
    this.#shared.open.delete(this);
    for (const topic of this.#joined) this.#shared.topics.leave(topic, this);
    this.#joined.clear();
    this.#behavior.close(this, code, reason);
  }
}
