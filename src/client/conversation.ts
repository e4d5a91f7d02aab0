import type { ErrorMessage, Hello, ServerMessage, Subscribed } from '../protocol/messages.ts';
import type { Clock } from './clock.ts';
import type { Delivery } from './delivery.ts';
import type { Interest, Reference } from './interest.ts';
import type { Progress } from './progress.ts';
import type { Link, LinkClosed, LinkSink, LinkTarget, Transport } from './transport.ts';
import type { ClientError, LossReason } from './types.ts';

/** What both ways of asking share: one connection's memory and surroundings. */
export interface Ground {
  readonly interest: Interest;
  readonly progress: Progress;
  readonly delivery: Delivery;
  readonly clock: Clock;
  readonly random: () => number;
  readonly transport: Transport;
  readonly base: string;
  readonly token: string | null;
  /** What frames are read by. */
  readonly sink: LinkSink;
  /** Topics that the server sends on this connection. */
  readonly held: Set<string>;
  /** Topics whose request was not answered yet. */
  readonly pending: Set<string>;
  readonly checked: Set<Reference>;
  frameBytes: number;
  mostTopics: number;
  /** Everything that is wanted was acknowledged. */
  settled(): void;
  end(end: LinkClosed, loss: LossReason): void;
  error(error: ClientError): void;
  /** An error of the client's own class, for code that is loaded apart from it. */
  errorOf(code: ClientError['code'], message: string, topic: string | null): ClientError;
  /** Reads a frame and acts on it. */
  receive(message: ServerMessage): void;
}

/** How topics are asked for: by frames on the link, or by opening it anew. */
export interface Conversation {
  /** Opens the link. Called once. */
  start(): void;
  hello(message: Hello): void;
  subscribed(message: Subscribed): void;
  unsubscribed(id: unknown): void;
  refused(message: ErrorMessage): void;
  /** Asks for what is wanted and not held. Cheap, and without effect while an answer is awaited. */
  pump(): void;
  /** A name is being asked for: frames of topics not named by it yet belong to it. */
  resolving(): boolean;
  /** Sends a frame, where the link can. */
  send(frame: object): boolean;
  close(): void;
}

/** Opens a link; a transport that throws is one that ended at once. */
export function openLink(ground: Ground, query: LinkTarget['query']): Link | null {
  const { transport, base, token, sink } = ground;
  try {
    return transport.open({ base, token, query }, sink);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    queueMicrotask(() => sink.closed({ code: null, reason }));
    return null;
  }
}
