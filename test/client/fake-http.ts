import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { isFields } from '../../src/client/read.ts';
import { CLOSE } from '../../src/protocol/errors.ts';
import { ALL_TABLES, type ServerMessage } from '../../src/protocol/messages.ts';
import type { FakeFeed } from './fake-feed.ts';
import { subscribeOf } from './fake-network.ts';

/** A file to serve beside the protocol: media type and content. */
export type ServedFile = readonly [type: string, body: string | Uint8Array];

export interface FakeHttpServer {
  readonly url: string;
  /** Connections and requests per transport since the start. */
  readonly opened: { websocket: number; sse: number; poll: number };
  /** WebSocket connections that are open now. */
  openSockets(): number;
  /** Requests for streams and polls, as they came. */
  readonly asked: URL[];
  /** WebSocket upgrades are answered with 403, as some proxies do. */
  blockWebSocket: boolean;
  /** Streams are answered with this status. */
  sseStatus: number;
  /** WebSockets are closed with `auth failed` and this reason; null to serve them. */
  refusal: string | null;
  cutAll(): void;
  stop(): Promise<void>;
}

const isWanted = (held: ReadonlySet<string>, topic: string | null): boolean =>
  topic === null || held.has(topic) || held.has(ALL_TABLES);

/** The query of `/events` and `/poll` as a subscribe. */
function requestOf(url: URL) {
  const after = /^(.+)\.([0-9a-f]{22})(~?)(?:!.*)?$/.exec(url.searchParams.get('after') ?? '');
  const raw = /[?&]topics=([^&]*)/.exec(url.search)?.[1] ?? '';
  return {
    topics: raw.split(',').map((topic) => ({
      topic: decodeURIComponent(topic),
      history: Number(url.searchParams.get('history') ?? 20),
      owed: after?.[3] === '~',
      ...(after?.[1] && after[2] ? { after: after[2], epoch: after[1] } : {}),
    })),
  };
}

/** The fake feed behind real sockets: WebSocket, SSE, long-poll, and files of a page. Listens on a free port. */
export async function startFakeHttp(
  feed: FakeFeed,
  files: ReadonlyMap<string, ServedFile> = new Map(),
  status: () => object = () => ({}),
): Promise<FakeHttpServer> {
  const sockets = new Set<Socket>();
  const stops = new Set<() => void>();

  const acked = (held: readonly string[], results: readonly object[]) => ({
    type: 'subscribed',
    id: 1,
    epoch: feed.epoch,
    position: feed.delivered,
    topics: results.length > 0 ? results : held.map((topic) => ({ topic, recovered: true, replayed: 0 })),
  });

  const refuse = (response: ServerResponse, code: number, problem: string): void => {
    response.writeHead(code, { 'content-type': 'application/problem+json', 'access-control-allow-origin': '*' });
    response.end(JSON.stringify({ code: problem, title: problem, status: code }));
  };

  const events = (url: URL, response: ServerResponse): void => {
    server.opened.sse += 1;
    if (server.sseStatus !== 200) {
      refuse(response, server.sseStatus, 'over_capacity');
      return;
    }
    const answer = feed.take(requestOf(url), new Set());
    if (!answer) {
      refuse(response, 404, 'unknown_topic');
      return;
    }
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'access-control-allow-origin': '*' });
    const say = (message: object): void => {
      response.write(`event: x\nid: ${feed.epoch}.${feed.delivered}\ndata: ${JSON.stringify(message)}\n\n`);
    };
    response.write('retry: 1234\n\n: hello\n\n');
    for (const message of answer.frames) say(message);
    say(acked(answer.held, answer.results));
    const held = new Set(answer.held);
    const stop = feed.onPublish((message, topic) => {
      if (isWanted(held, topic)) say(message);
    });
    response.on('close', stop);
  };

  const poll = (url: URL, response: ServerResponse): void => {
    server.opened.poll += 1;
    const answer = feed.take(requestOf(url), new Set());
    if (!answer) {
      refuse(response, 404, 'unknown_topic');
      return;
    }
    const frames: object[] = [...answer.frames, acked(answer.held, answer.results)];
    const end = (): void => {
      if (response.writableEnded) return;
      stop();
      clearTimeout(timer);
      stops.delete(end);
      response.writeHead(200, { 'content-type': 'application/json', 'access-control-allow-origin': '*' });
      response.end(JSON.stringify({ frames, next: `${feed.epoch}.${feed.delivered}` }));
    };
    const held = new Set(answer.held);
    const stop = feed.onPublish((message: ServerMessage, topic) => {
      if (!isWanted(held, topic)) return;
      frames.push(message);
      setImmediate(end);
    });
    const timer = setTimeout(end, Number(url.searchParams.get('wait') ?? 25) * 1000);
    if (answer.frames.length > 0) {
      end();
      return;
    }
    stops.add(end);
    response.on('close', () => {
      stop();
      clearTimeout(timer);
      stops.delete(end);
    });
  };

  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1');
    if (request.method === 'OPTIONS') {
      response.writeHead(204, { 'access-control-allow-origin': '*', 'access-control-allow-headers': '*' });
      response.end();
      return;
    }
    if (url.pathname === '/events' || url.pathname === '/poll') {
      server.asked.push(url);
      if (url.pathname === '/events') events(url, response);
      else poll(url, response);
      return;
    }
    if (url.pathname === '/status') {
      response.writeHead(200, { 'content-type': 'application/json', 'access-control-allow-origin': '*' });
      response.end(JSON.stringify(status()));
      return;
    }
    const file = files.get(url.pathname);
    if (!file) {
      refuse(response, 404, 'not_found');
      return;
    }
    response.writeHead(200, {
      'content-type': file[0],
      'content-security-policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' http: https: ws: wss:; base-uri 'none'; form-action 'none'",
    });
    response.end(file[1]);
  };

  const http = createServer(answer);
  http.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  const webSockets = new WebSocketServer({ noServer: true });
  http.on('upgrade', (request, socket, head) => {
    if (server.blockWebSocket) {
      socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
      return;
    }
    webSockets.handleUpgrade(request, socket, head, (opened) => serve(opened));
  });

  const serve = (socket: WebSocket): void => {
    server.opened.websocket += 1;
    if (server.refusal !== null) {
      socket.close(CLOSE.authFailed, server.refusal);
      return;
    }
    const held = new Set<string>();
    const say = (message: object): void => socket.send(JSON.stringify(message));
    const stop = feed.onPublish((message, topic) => {
      if (held.size > 0 && isWanted(held, topic)) say(message);
    });
    socket.on('close', stop);
    socket.on('message', (data) => {
      const frame: unknown = JSON.parse(String(data));
      if (!isFields(frame)) return;
      const { id } = frame;
      if (frame['type'] === 'ping') say({ type: 'pong', id, position: feed.delivered });
      if (frame['type'] === 'unsubscribe' && Array.isArray(frame['topics'])) {
        for (const topic of frame['topics']) held.delete(String(topic));
        say({ type: 'unsubscribed', id, topics: frame['topics'] });
      }
      if (frame['type'] !== 'subscribe') return;
      const taken = feed.take(subscribeOf(frame), held);
      if (!taken) {
        say({ type: 'error', id, code: 'unknown_topic', message: 'No table has this name.', retry: 'never' });
        return;
      }
      for (const message of taken.frames) say(message);
      if (taken.held.includes(ALL_TABLES)) held.clear();
      for (const topic of held.has(ALL_TABLES) ? [] : taken.held) held.add(topic);
      say({ ...acked(taken.held, taken.results), id });
    });
    say({
      type: 'hello',
      protocol: 1,
      server: 'fake',
      instance: 'k3f9',
      epoch: feed.epoch,
      position: feed.delivered,
      ping_s: 25,
      recovery_s: 600,
      auth: 'none',
      limits: { topics: 100, frame_bytes: 4096 },
    });
  };

  await new Promise<void>((resolve, reject) => {
    http.once('error', reject);
    http.listen(0, '127.0.0.1', resolve);
  });
  const address: AddressInfo | string | null = http.address();
  if (address === null || typeof address === 'string') throw new Error('no port');

  const server: FakeHttpServer = {
    url: `http://127.0.0.1:${address.port}`,
    opened: { websocket: 0, sse: 0, poll: 0 },
    openSockets: () => webSockets.clients.size,
    asked: [],
    blockWebSocket: false,
    sseStatus: 200,
    refusal: null,
    cutAll() {
      for (const socket of sockets) socket.destroy();
    },
    async stop() {
      for (const end of [...stops]) end();
      server.cutAll();
      webSockets.close();
      await new Promise<void>((resolve) => {
        http.close(() => resolve());
      });
    },
  };
  return server;
}
