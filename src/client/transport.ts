import type { Position } from '../protocol/position.ts';

/** The choice to a server, in the order in which they are tried. */
export type TransportName = 'websocket' | 'sse' | 'poll';

/** Why a link ended. */
export interface LinkClosed {
  /** Close code of the WebSocket, or HTTP status; null when there was neither. */
  readonly code: number | null;
  readonly reason: string;
  /** What the server asks to wait, in milliseconds. */
  readonly retryMs?: number | undefined;
  /** The `code` of a problem+json answer. */
  readonly problem?: string;
  /** It was ended for a better transport, which answers again. */
  readonly better?: boolean;
  /** The bytes were not what this transport brings, as when a proxy answers in the server's place. */
  readonly foreign?: boolean;
}

/** One topic of a subscribe. */
export interface TopicItem extends Resume {
  readonly topic: string;
  readonly history: number;
  /** Of a name: how many tables it means to the client. */
  readonly tables?: number;
}

/** How to go on with a topic, or several taken together. */
export interface Resume {
  readonly after?: Position | undefined;
  /** A reset was not followed by its snapshot yet. */
  readonly owed?: true | undefined;
}

/** The highest position ever received, and its epoch. */
export interface Seen {
  readonly seen?: Position | undefined;
  readonly epoch?: string | undefined;
}

export interface SubscribeRequest extends Seen {
  readonly type: 'subscribe';
  readonly id: number;
  readonly topics: readonly TopicItem[];
}

/** What a client says. */
export type ClientRequest =
  | SubscribeRequest
  | { readonly type: 'unsubscribe'; readonly id: number; readonly topics: readonly string[] }
  | { readonly type: 'ping'; readonly id: number }
  | { readonly type: 'auth'; readonly id: string; readonly token: string };

/** What a link tells its session: nothing before `open` returned. What comes after its end is ignored. */
export interface LinkSink {
  /** One frame, parsed from JSON and not looked at. */
  frame(value: unknown): void;
  /** Something came that is no frame: the other side lives. */
  alive(): void;
  closed(end: LinkClosed): void;
}

export interface LinkTarget {
  /** `http://host/prefix` or `https://...`, without a slash at the end. */
  readonly base: string;
  readonly token: string | null;
  /** The positions of topics, for links that have to ask for them again by themselves. */
  readonly progress: { resume(topics: readonly string[]): Resume; seen(): Seen };
}

/** For those who ask for no topics, or whose tabs ask with their own positions. */
export const NOWHERE: LinkTarget['progress'] = { resume: () => ({}), seen: () => ({}) };

export interface Link {
  send(frame: ClientRequest): void;
  close(): void;
}

export interface Transport {
  readonly name: TransportName;
  /**
   * True for a connection that begins with `hello`, answers pings and takes tokens. One that is not takes subscriptions
   * alone, and sends the events of all its topics in one order.
   */
  readonly duplex: boolean;
  open(target: LinkTarget, sink: LinkSink): Link;
}

/** The part of a WebSocket that is used; browsers' own and the `ws` package's both have it. */
export interface WebSocketLike {
  send(data: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: 'open' | 'error', listener: () => void): void;
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void;
}

export type WebSocketConstructor = new (url: string) => WebSocketLike;

/** The part of a fetch response that is used. */
export interface ResponseLike {
  readonly ok: boolean;
  readonly status: number;
  readonly headers: { get(name: string): string | null };
  readonly body: {
    getReader(): {
      read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
      cancel(): Promise<void>;
    };
  } | null;
  text(): Promise<string>;
}

export interface FetchInit {
  readonly headers: Record<string, string>;
  readonly signal: AbortSignal;
  readonly cache: 'no-store';
}

export type FetchLike = (url: string, init: FetchInit) => Promise<ResponseLike>;
