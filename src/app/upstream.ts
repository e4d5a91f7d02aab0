import { createHash, timingSafeEqual } from 'node:crypto';
import { on, once } from 'node:events';
import { WebSocket } from 'ws';
import type { ReplicaLink } from '../feed/replica.ts';
import type { Answer } from '../gateway/door/answer.ts';
import type { Exchange } from '../gateway/door/exchange.ts';
import { type AllOrders, ordersIn } from '../gateway/http/clients.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Store } from '../store/connect.ts';

/** The instances that this one follows and passes on to: the one that answered last, or else the next. */
export interface Upstream {
  /** Whether a line to a core is open. */
  isUp(): boolean;
  /** Opens a line to a core. Rejects when this one cannot be reached; the next attempt goes to the next. */
  connect(): Promise<ReplicaLink>;
  /** Passes a request on, with the credentials that it came with; the answer is the core's. Rejects with ProtocolError. */
  passOn(exchange: Exchange): Promise<Answer>;
  /** What operators have ordered. Rejects with ProtocolError. */
  readOrders(): Promise<AllOrders>;
}

const CONNECT_MS = 3_000;
/** Longer than a core waits for MongoDB. */
const ANSWER_MS = 65_000;
/** More than the largest batch, or piece of a copy. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

/** Of one connection and not of its request (RFC 9110, 7.6.1), or made anew on the way to a core. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-forwarded-for',
]);
const ANSWER_HEADERS = ['content-type', 'etag', 'cache-control', 'retry-after', 'www-authenticate', 'link'] as const;

/** Whether an `Authorization` is `Bearer` and this key: compared as digests, so that no early end tells how much was right. */
export function bearerCheck(key: string): (authorization: string) => boolean {
  const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();
  const wanted = digestOf(`bearer ${key}`);
  return (authorization) => timingSafeEqual(digestOf(authorization.replace(/^bearer +/i, 'bearer ')), wanted);
}

async function* messagesOf(socket: WebSocket, events: ReturnType<typeof on>): AsyncGenerator<string, void> {
  try {
    for await (const [data] of events) yield String(data);
  } finally {
    socket.terminate();
  }
}

/** `cores` are `ws:` or `wss:` addresses, `key` is their ADMIN_KEY. */
export function createUpstream(cores: readonly string[], key: string): Upstream {
  let at = 0;
  let open = 0;
  const core = (): string => (cores[at % cores.length] ?? '').replace(/\/+$/, '');

  /** Asks one core after the other for as long as nothing of the request can have reached one. */
  const ask = async (path: string, init: RequestInit): Promise<Response> => {
    for (let tried = 0; ; tried++) {
      try {
        const url = `${core().replace(/^ws/, 'http')}${path}`;
        return await fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.timeout(ANSWER_MS) });
      } catch (cause) {
        const isSafe = init.method === 'GET' || init.method === 'HEAD' || wasRefused(cause);
        if (!isSafe) throw new ProtocolError('write_unknown', { cause });
        if (tried + 1 >= cores.length) throw new ProtocolError('database_unavailable', { cause, retryMs: 1_000 });
        at++;
      }
    }
  };

  return {
    isUp: () => open > 0,
    async connect() {
      const socket = new WebSocket(`${core()}/api/v1/replica`, {
        headers: { authorization: `Bearer ${key}` },
        perMessageDeflate: false,
        handshakeTimeout: CONNECT_MS,
        maxPayload: MAX_MESSAGE_BYTES,
      });
      // Before it is open: its first message may come with its handshake.
      const events = on(socket, 'message', { close: ['close'] });
      try {
        await once(socket, 'open');
      } catch (error) {
        at++;
        throw error;
      }
      open++;
      socket.once('close', () => {
        open--;
        at++;
      });
      return {
        messages: messagesOf(socket, events),
        send: (message) => socket.send(message),
        close: () => socket.terminate(),
      };
    },
    async passOn(exchange) {
      const headers = [...exchange.headers].filter(([name]) => !OWN_HEADERS.has(name));
      headers.push(['x-forwarded-for', exchange.visitor.text]);
      const { method } = exchange;
      const hasBody = method !== 'GET' && method !== 'HEAD';
      const body = hasBody ? await exchange.body() : null;
      const query = exchange.query.size === 0 ? '' : `?${exchange.query}`;
      const answer = await ask(`${exchange.path}${query}`, { method, headers, body });
      const kept = ANSWER_HEADERS.flatMap((name): [string, string][] => {
        const value = answer.headers.get(name);
        return value === null ? [] : [[name, value]];
      });
      return {
        status: answer.status,
        headers: Object.fromEntries(kept),
        body: new Uint8Array(await answer.arrayBuffer()),
      };
    },
    async readOrders() {
      const answer = await ask('/api/v1/orders', { method: 'GET', headers: { authorization: `Bearer ${key}` } });
      if (!answer.ok)
        throw new ProtocolError('database_unavailable', { message: `the core answered ${answer.status}` });
      return ordersIn(await answer.json());
    },
  };
}

/** Whether a request failed before anything of it was sent. */
function wasRefused(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : null;
  return cause instanceof Error && 'code' in cause && (cause.code === 'ECONNREFUSED' || cause.code === 'ENOTFOUND');
}

/** In place of a store where there is no MongoDB: what needs one is passed on before it comes here. */
export function storeElsewhere({ isUp, readOrders }: Pick<Upstream, 'isUp' | 'readOrders'>): Store {
  const elsewhere = (): Promise<never> => Promise.reject(new ProtocolError('database_unavailable'));
  const history = {
    page: elsewhere,
    stream(): AsyncGenerator<never, void> {
      throw new ProtocolError('database_unavailable');
    },
  };
  return {
    isUp,
    readOrders,
    numbers: history,
    strategies: history,
    insertNumbers: elsewhere,
    insertStrategies: elsewhere,
    tableStats: elsewhere,
    legacyNumbers: elsewhere,
    confirmNumber: elsewhere,
    deny: elsewhere,
    allow: elsewhere,
    orderRemoval: elsewhere,
    readBase: elsewhere,
    ensureIndexes: elsewhere,
    learnCollections: elsewhere,
    baseProgress: () => null,
    builtinStatus: async () => null,
    close: async () => undefined,
  };
}
