import { createHash, randomUUID, timingSafeEqual } from 'node:crypto';
import { on, once } from 'node:events';
import { WebSocket } from 'ws';
import type { ReplicaLink } from '../feed/replica.ts';
import type { Answer } from '../gateway/door/answer.ts';
import type { Exchange } from '../gateway/door/exchange.ts';
import { type AllOrders, ordersIn } from '../gateway/http/clients.ts';
import { ProtocolError } from '../protocol/errors.ts';
import type { Store } from '../store/connect.ts';

/** What a core is told of a request. */
type Passed = Pick<Exchange, 'method' | 'path' | 'query' | 'headers' | 'visitor' | 'body'>;

/** The instances that this one follows and passes on to: the one that answered last, or else the next. */
export interface Upstream {
  /** Opens a line to a core. Rejects when this one cannot be reached; the next attempt goes to the next. */
  connect(): Promise<ReplicaLink>;
  /**
   * Passes a request on, with the credentials that it came with; the answer is the core's, what a core streams is
   * streamed. Rejects with ProtocolError.
   */
  passOn(exchange: Passed): Promise<Answer>;
  /** What operators have ordered. Rejects with ProtocolError. */
  readOrders(): Promise<AllOrders>;
}

const CONNECT_MS = 3_000;
/** Longer than a core waits for MongoDB. What is streamed must have begun by then. */
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
  'via',
  'x-forwarded-for',
]);
/** Spelled as this instance's own, which they replace. */
const ANSWER_HEADERS = [
  'Content-Type',
  'Content-Disposition',
  'ETag',
  'Cache-Control',
  'Vary',
  'Retry-After',
  'WWW-Authenticate',
  'Link',
] as const;

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

/** The pieces of a body; rejects with ProtocolError when it is cut. */
async function* piecesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  // With the mark that a text may begin with: it is the client's to read.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  try {
    for await (const bytes of body) yield decoder.decode(bytes, { stream: true });
  } catch (cause) {
    throw new ProtocolError('database_unavailable', { cause });
  }
}

/** The body of an answer. One whose length is not told is streamed, and has begun. */
async function bodyOf(answer: Response, mayStream: boolean): Promise<Pick<Answer, 'body' | 'rest'>> {
  if (!mayStream || answer.body === null || answer.headers.has('content-length')) {
    return { body: new Uint8Array(await answer.arrayBuffer()) };
  }
  const rest = piecesOf(answer.body);
  const { value } = await rest.next();
  return { body: value ?? '', rest };
}

/** A core's answer as this instance gives it. */
async function answerOf(answer: Response, mayStream: boolean): Promise<Answer> {
  const kept = ANSWER_HEADERS.flatMap((name): [string, string][] => {
    const value = answer.headers.get(name);
    return value === null ? [] : [[name, value]];
  });
  return { status: answer.status, headers: Object.fromEntries(kept), ...(await bodyOf(answer, mayStream)) };
}

const isRead = (method: string): boolean => method === 'GET' || method === 'HEAD';

/** Why a core does not let itself be followed, by the status of its answer. */
const REFUSALS: ReadonlyMap<unknown, string> = new Map([
  [401, 'the core does not accept UPSTREAM_KEY'],
  [404, 'no replica route there: the core has no ADMIN_KEY, or the path of UPSTREAM is wrong'],
]);

const CIRCLE = 'UPSTREAM leads back to this instance: one of those that it names must have a MongoDB.';

/** Asks one core. Rejects when it cannot be reached, or when nothing of its answer comes within ANSWER_MS. */
async function askCore<T>(
  core: string,
  path: string,
  init: RequestInit,
  read: (answer: Response) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ANSWER_MS);
  try {
    const url = `${core.replace(/^ws/, 'http')}${path}`;
    return await read(await fetch(url, { ...init, redirect: 'manual', signal: late.signal }));
  } finally {
    clearTimeout(timer);
  }
}

/** The cores in turn: the one that answered last, or else the next. */
function createCores(cores: readonly string[]) {
  let at = 0;
  const current = (): string => (cores[at % cores.length] ?? '').replace(/\/+$/, '');
  /** How to go on to the next core, unless somebody else who found this one dead has gone on already. */
  const leaving = (): (() => void) => {
    const tried = at;
    return () => {
      if (at === tried) at++;
    };
  };
  return {
    current,
    leaving,
    /** Asks one core after the other for as long as nothing of the request can have reached one. */
    async ask<T>(
      path: string,
      init: RequestInit & { readonly method: string },
      read: (answer: Response) => Promise<T>,
    ): Promise<T> {
      for (let attempt = 1; ; attempt++) {
        const leave = leaving();
        try {
          return await askCore(current(), path, init, read);
        } catch (cause) {
          leave();
          if (!isRead(init.method) && !wasRefused(cause)) throw new ProtocolError('write_unknown', { cause });
          if (attempt >= cores.length) throw new ProtocolError('database_unavailable', { cause, retryMs: 1_000 });
        }
      }
    },
  };
}

/** `addresses` are those of cores, `ws:` or `wss:`; `key` is their ADMIN_KEY. */
export function createUpstream(addresses: readonly string[], key: string): Upstream {
  /** Names this process to whoever is asked (RFC 9110, 7.6.3): what comes back with it has gone in a circle. */
  const name = `1.1 ${randomUUID()}`;
  const authorization = `Bearer ${key}`;
  const cores = createCores(addresses);
  const orders = [
    '/api/v1/orders',
    { method: 'GET', headers: { authorization, via: name } },
    async (answer: Response) => ({ status: answer.status, text: await answer.text() }),
  ] as const;

  return {
    async connect() {
      const leave = cores.leaving();
      const core = cores.current();
      const socket = new WebSocket(`${core}/api/v1/replica`, {
        headers: { authorization },
        perMessageDeflate: false,
        handshakeTimeout: CONNECT_MS,
        maxPayload: MAX_MESSAGE_BYTES,
      });
      // The first error is told to who awaits; one that its end brings after it is nobody's.
      socket.on('error', () => undefined);
      socket.once('unexpected-response', (_request, { statusCode }) => {
        socket.emit('error', new Error(REFUSALS.get(statusCode) ?? `the core answered ${statusCode}`));
        socket.terminate();
      });
      // Before it is open: its first message may come with its handshake.
      const events = on(socket, 'message', { close: ['close'] });
      try {
        await once(socket, 'open');
      } catch (error) {
        leave();
        throw error;
      }
      socket.once('close', leave);
      // A leaf passes this on to its own cores: so whoever leads back here, over however many, is found out. Another
      // core than that of the line says nothing of it, and reads and posts stay with that one.
      askCore(core, ...orders).then(
        ({ text }) => text.includes(CIRCLE) && socket.emit('error', new Error(CIRCLE)),
        // Whether MongoDB can be read there is not the question, and the line goes on without.
        () => undefined,
      );
      return {
        messages: messagesOf(socket, events),
        send: (message) => socket.send(message),
        close: () => socket.terminate(),
      };
    },
    async passOn({ method, path, query, headers: given, visitor, body: readBody }) {
      const headers = [...given].filter(([name]) => !OWN_HEADERS.has(name));
      const via = given.get('via') ?? '';
      if (via.includes(name)) throw new ProtocolError('database_unavailable', { message: CIRCLE });
      headers.push(['x-forwarded-for', visitor.text], ['via', via === '' ? name : `${via}, ${name}`]);
      const body = isRead(method) ? null : await readBody();
      const target = query.size === 0 ? path : `${path}?${query}`;
      // The length that a HEAD tells is that of the body, which only a GET brings.
      const asked = method === 'HEAD' ? 'GET' : method;
      return await cores.ask(target, { method: asked, headers, body }, (answer) => answerOf(answer, isRead(method)));
    },
    async readOrders() {
      const { status, text } = await cores.ask(...orders);
      if (status !== 200)
        throw new ProtocolError('database_unavailable', { message: `the core answered ${status}: ${text}` });
      return ordersIn(JSON.parse(text));
    },
  };
}

/** Whether a request failed before anything of it was sent. */
function wasRefused(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : null;
  return cause instanceof Error && 'code' in cause && (cause.code === 'ECONNREFUSED' || cause.code === 'ENOTFOUND');
}

/** In place of a store where there is no MongoDB: what needs one is passed on before it comes here. */
export function storeElsewhere({ isUp, readOrders }: Pick<Store, 'isUp' | 'readOrders'>): Store {
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
    noteDoubleZeros: elsewhere,
    learnCollections: elsewhere,
    baseProgress: () => null,
    builtinStatus: async () => null,
    close: async () => undefined,
  };
}
