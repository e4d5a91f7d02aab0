import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Posted {
  readonly path: string;
  readonly key: string;
  readonly authorization: string | undefined;
  readonly body: Record<string, unknown>;
}

export interface FakeServer {
  readonly url: URL;
  readonly posts: Posted[];
  stop(): Promise<void>;
}

export interface FakeOptions {
  /** Answers a post; undefined takes it with 201 and delivers it. */
  readonly answer?: (
    post: Posted,
    attempt: number,
  ) => { status: number; headers?: Record<string, string>; body?: unknown } | undefined;
  /** How often a stored post is sent to the subscribers; 1 unless given. */
  readonly deliveries?: (post: Posted) => number;
}

/** Plays the service's ingest and `/events`, on a free port of loopback. */
export async function startFakeServer(options: FakeOptions = {}): Promise<FakeServer> {
  const posts: Posted[] = [];
  const attempts = new Map<string, number>();
  const subscribers = new Set<ServerResponse>();
  let position = 0;
  const publish = (frame: Record<string, unknown>): void => {
    position += 1;
    for (const subscriber of subscribers) {
      subscriber.write(`id: e1.${position}\nevent: ${String(frame['type'])}\ndata: ${JSON.stringify(frame)}\n\n`);
    }
  };
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const post: Posted = {
      path: request.url ?? '',
      key: String(request.headers['idempotency-key']),
      authorization: request.headers.authorization,
      body: JSON.parse(text),
    };
    posts.push(post);
    const attempt = (attempts.get(post.key) ?? 0) + 1;
    attempts.set(post.key, attempt);
    const id = `${String(post.body['roleta_id'])}:${post.key}`;
    const answer = options.answer?.(post, attempt) ?? { status: 201, body: { id, status: 'created' } };
    if (answer.status === 201) {
      const type = post.path.endsWith('numbers') ? 'new_number' : 'strategy_update';
      const times = options.deliveries?.(post) ?? 1;
      for (let n = 0; n < times; n += 1) publish({ type, id, ...post.body });
    }
    response.writeHead(answer.status, {
      'content-type': 'application/json',
      ...('headers' in answer ? answer.headers : {}),
    });
    response.end(JSON.stringify(answer.body ?? {}));
  };
  const server = createServer((request, response) => {
    if (request.url?.startsWith('/events') === true) {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('retry: 1000\n\nevent: subscribed\nid: e1.0\ndata: {"type":"subscribed","id":0}\n\n');
      subscribers.add(response);
      response.on('close', () => subscribers.delete(response));
      return;
    }
    take(request, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(`http://127.0.0.1:${port}`),
    posts,
    async stop() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
