/** The ways to a server, in the order in which they are tried. */
export type TransportName = 'websocket' | 'sse' | 'poll';

/** Why a link ended. */
export interface LinkClosed {
  /** Close code of the WebSocket, or HTTP status; null when there was neither. */
  readonly code: number | null;
  readonly reason: string;
  /** What the server asks to wait, in milliseconds. */
  readonly retryMs?: number;
  /** The `code` of a problem+json answer. */
  readonly problem?: string;
  /** The bytes were not what this transport brings, as when a proxy answers in the server's place. */
  readonly foreign?: boolean;
}

/** What a link tells its session: nothing before `open` returned, and nothing after `closed`. */
export interface LinkSink {
  /** The connection stands; for a WebSocket before its `hello`, for SSE and long-poll with the first answer. */
  opened(): void;
  /** One frame, parsed from JSON and not looked at. */
  frame(value: unknown): void;
  /** Something came that is no frame: the other side lives. */
  alive(): void;
  closed(end: LinkClosed): void;
}

/** The topics that a request over HTTP names, all at once. */
export interface Query {
  readonly topics: readonly string[];
  readonly history: number;
  /** `epoch.position`, with `~` when a snapshot is owed. */
  readonly after: string | null;
  readonly seen: string | null;
}

export interface LinkTarget {
  /** `http://host/prefix` or `https://...`, without a slash at the end. */
  readonly base: string;
  readonly token: string | null;
  /** What SSE and long-poll ask for; asked again for every poll, since its position moves. */
  query(): Query;
}

/** A link that takes frames (WebSocket), or one whose topics are given with its opening (SSE, long-poll). */
export interface Link {
  /** Null on links that cannot send. */
  readonly send: ((frame: object) => void) | null;
  close(): void;
}

/** What one request over HTTP brought. */
export type AskAnswer = { readonly frames: readonly unknown[] } | { readonly refused: LinkClosed };

export interface Transport {
  readonly name: TransportName;
  /** False where the platform lacks what the transport needs. */
  readonly available: boolean;
  open(target: LinkTarget, sink: LinkSink): Link;
  /**
   * A question beside a link that cannot send: frames up to the acknowledgement, and no more. Rejects when the network
   * or the signal ends it. Null where the link itself takes questions.
   */
  readonly ask: ((target: LinkTarget, query: Query, signal: AbortSignal) => Promise<AskAnswer>) | null;
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
