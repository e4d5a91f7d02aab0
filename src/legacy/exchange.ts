import { addressOfBytes } from '../gateway/door/address.ts';
import { sendPaced } from '../gateway/door/answer.ts';
import type { Arrival } from '../gateway/door/arrival.ts';
import type { Visit } from '../gateway/door/door.ts';
import type { Bucket } from '../gateway/door/limits.ts';
import type { HttpRequest, HttpResponse, UpgradeContext } from '../gateway/network/network.ts';

/** A request out of uWebSockets' hands: Engine.IO keeps the first one of a connection for as long as that lives. */
export interface CopiedRequest {
  getMethod(): string;
  getUrl(): string;
  getQuery(): string;
  getHeader(name: string): string;
  forEach(visit: (name: string, value: string) => void): void;
  /** Whether Engine.IO will make a new connection of it. */
  opens(upgrades: boolean): boolean;
  /** Who came with it; null for further requests of a connection. */
  visit: Visit | null;
  /** A connection came of it, which gives its place back by itself. */
  taken: boolean;
}

export function copyRequest(req: HttpRequest): CopiedRequest {
  const method = req.getMethod();
  const url = req.getUrl();
  const headers = new Map<string, string>();
  req.forEach((name, value) => void headers.set(name, value));
  // A parameter given twice has one value, the same for Engine.IO and for `opens`.
  const query = new Map(new URLSearchParams(req.getQuery() ?? ''));
  const queryText = new URLSearchParams([...query]).toString();
  return {
    getMethod: () => method,
    getUrl: () => url,
    getQuery: () => queryText,
    getHeader: (name) => headers.get(name) ?? '',
    forEach(visit) {
      for (const [name, value] of headers) visit(name, value);
    },
    opens: (upgrades) =>
      (query.get('sid') ?? '') === '' &&
      query.get('EIO') === '4' &&
      method === 'get' &&
      query.get('transport') === (upgrades ? 'websocket' : 'polling'),
    visit: null,
    taken: false,
  };
}

/** A WebSocket as Engine.IO uses it, and as this room does: safe to call when it is gone. */
export interface GuardedSocket {
  getUserData(): Carried;
  send(data: string | ArrayBuffer, isBinary?: boolean, compress?: boolean): void;
  end(): void;
  /** Ends without a close frame. */
  cut(): void;
  subscribe(topic: string): void;
  unsubscribe(topic: string): void;
  /** Bytes that the peer has not taken; 0 when it is gone. */
  backlog(): number;
}

/** What Engine.IO keeps beside a socket. */
export interface Carried {
  readonly transport: object;
}

/** What the network keeps beside a socket. */
export interface EngineSocketData {
  readonly carried: Carried;
  /** Also for a socket that tries to take a session of polls over, and is nobody's until it did. */
  readonly bucket: Bucket;
  flooding: boolean;
  socket: GuardedSocket | null;
}

/** A response that may be called at any time, also when it was answered or its client is gone. */
export interface GuardedResponse {
  onAborted(listener: () => void): GuardedResponse;
  onData(listener: (chunk: ArrayBuffer, isLast: boolean) => void): GuardedResponse;
  writeStatus(status: string): GuardedResponse;
  writeHeader(name: string, value: string): GuardedResponse;
  end(body?: string): GuardedResponse;
  cork(act: () => void): GuardedResponse;
  close(): GuardedResponse;
  upgrade(
    carried: Carried,
    key: string,
    protocol: string,
    extensions: string,
    context: UpgradeContext<EngineSocketData>,
  ): void;
  /** What to do with the connection when its request was gone before it could be upgraded. */
  upgrades(lost: (carried: Carried) => void): void;
  getRemoteAddressAsText(): Uint8Array;
}

/**
 * Takes a response over, in the request's own callback. The headers of its arrival go with whatever answer. Exceptions of Engine.IO in
 * callbacks go to `failed`, with how to end the connection.
 */
export function guardResponse(
  res: HttpResponse,
  { answerHeaders, socket }: Arrival,
  bucketOf: () => Bucket,
  failed: (where: string, error: unknown, cut: () => void) => void,
): GuardedResponse {
  let over = false;
  let isError = false;
  const written = new Set<string>();
  let aborted: () => void = () => undefined;
  let lost: (carried: Carried) => void = () => undefined;
  const close = (): GuardedResponse => {
    if (!over) res.close();
    return response;
  };
  const guarded = (where: string, act: () => void): void => {
    try {
      act();
    } catch (error) {
      failed(where, error, close);
    }
  };
  res.onAborted(() => {
    over = true;
    guarded('socketio_aborted', aborted);
  });
  const response: GuardedResponse = {
    onAborted(listener) {
      aborted = listener;
      return response;
    },
    onData(listener) {
      if (over) return response;
      res.onData((chunk, isLast) => {
        if (!over) guarded('socketio_data', () => listener(chunk, isLast));
      });
      return response;
    },
    writeStatus(status) {
      isError = !status.startsWith('2');
      if (!over) res.writeStatus(status);
      return response;
    },
    writeHeader(name, value) {
      written.add(name.toLowerCase());
      if (!over) res.writeHeader(name, value);
      return response;
    },
    end(body) {
      if (over) return response;
      for (const [name, value] of Object.entries(answerHeaders)) {
        if (!written.has(name.toLowerCase())) res.writeHeader(name, value);
      }
      over = true;
      aborted = () => undefined;
      finish(res, body ?? '', isError);
      return response;
    },
    cork(act) {
      if (!over) res.cork(act);
      return response;
    },
    close,
    upgrade(carried, key, protocol, extensions, context) {
      if (over) {
        lost(carried);
        return;
      }
      over = true;
      res.upgrade({ carried, bucket: bucketOf(), flooding: false, socket: null }, key, protocol, extensions, context);
      socket.upgraded();
    },
    upgrades(listener) {
      lost = listener;
    },
    getRemoteAddressAsText: () => Buffer.from(over ? '' : addressOfBytes(new Uint8Array(res.getRemoteAddress())).text),
  };
  return response;
}

/** An error ends the connection, so that who asks on and on and never reads is not answered without end. */
function finish(res: HttpResponse, body: string, isError: boolean): void {
  if (isError) res.end(body, true);
  else sendPaced(res, Buffer.from(body));
}
