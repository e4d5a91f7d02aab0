import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { connectWebsocket, type WebsocketClient } from '../support/inbox.ts';
import { rawConnect, request } from './raw.ts';
import type { Target } from './target.ts';

const RUNS = 300;

const topic = fc.oneof(
  fc.constantFrom('roulette:*', 'roulette:2010165', 'roulette:', 'roulette', '', 'roulette:2_2010165', '*'),
  fc.string(),
);
const near = (usual: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 4, arbitrary: usual }, { weight: 1, arbitrary: fc.jsonValue() });

const frame = fc.record(
  {
    type: near(fc.constantFrom('subscribe', 'unsubscribe', 'ping', 'auth', 'hello', 'constructor', '__proto__')),
    id: near(fc.oneof(fc.integer(), fc.string())),
    topics: near(
      fc.array(
        near(
          fc.oneof(
            topic,
            fc.record({ topic, after: near(fc.string()), history: near(fc.integer()), owed: near(fc.boolean()) }),
          ),
        ),
      ),
    ),
    after: near(fc.string()),
    seen: near(fc.string()),
    epoch: near(fc.constantFrom('e1', 'e0', '')),
    history: near(fc.integer()),
    token: near(fc.string()),
  },
  { requiredKeys: [] },
);

describe('whatever is sent', () => {
  let running: TestGateway;
  let target: Target;

  beforeAll(async () => {
    running = await startTestGateway({ maxErrors: 1_000_000 });
    const { port, url } = running;
    target = { host: '127.0.0.1', port, url, inside: null, alive() {}, async stop() {} };
  });
  afterAll(() => running.gateway.stop());

  /** The gateway still greets and answers, and no callback threw. */
  async function isWell(): Promise<void> {
    expect(running.gateway.counters().failures).toBe(0);
    const client = await connectWebsocket(running.url);
    client.send({ type: 'ping', id: 'well' });
    await client.next('pong');
    client.socket.terminate();
  }

  /** Sends a text and then a ping: both answered, or the connection ended with a code. */
  async function survives(client: WebsocketClient, text: string): Promise<void> {
    client.send(text);
    client.send({ type: 'ping', id: 'after' });
    await client.next((message) => message['type'] === 'pong' && message['id'] === 'after');
  }

  it('as a frame of about the right shape is answered, with an error at worst', async () => {
    const client = await connectWebsocket(running.url);
    await fc.assert(
      fc.asyncProperty(frame, async (value) => survives(client, JSON.stringify(value))),
      { numRuns: RUNS },
    );
    client.socket.terminate();
    await isWell();
  });

  it('as any JSON or any text is answered with an error', async () => {
    const client = await connectWebsocket(running.url);
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.json(), fc.string({ unit: 'binary' })), async (text) => survives(client, text)),
      { numRuns: RUNS },
    );
    client.socket.terminate();
    await isWell();
  });

  it('with an id gets that id back, also in its error', async () => {
    const client = await connectWebsocket(running.url);
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.jsonValue(), async (id, topics) => {
        client.send({ type: 'subscribe', id, topics });
        await client.next((message) => message['id'] === id);
      }),
      { numRuns: 100 },
    );
    client.socket.terminate();
  });

  it('as bytes after the upgrade ends at most that connection', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
        const raw = rawConnect(target);
        raw.socket.write(
          request(
            'GET /ws HTTP/1.1',
            'Host: localhost',
            'Upgrade: websocket',
            'Connection: Upgrade',
            'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
            'Sec-WebSocket-Version: 13',
          ),
        );
        await raw.until(/"hello"/);
        await new Promise((resolve) => raw.socket.end(bytes, () => resolve(null)));
        await raw.ended;
      }),
      { numRuns: 100 },
    );
    await isWell();
  });

  it('as a query or header of an event stream or poll gets an answer', async () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 200 }).map(encodeURIComponent);
    const raw = fc.string({ maxLength: 100 }).map((value) => value.replaceAll(/[^!-~]/g, '.'));
    const query = fc.dictionary(
      fc.constantFrom('topics', 'after', 'seen', 'history', 'wait', 'token', 'epoch', 'x'),
      fc.oneof(text, raw),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('events', 'poll'), query, raw, async (path, parts, lastEventId) => {
        const parameters = Object.entries({ wait: '0', ...parts }).map(([name, value]) => `${name}=${value}`);
        const connection = rawConnect(target);
        connection.socket.write(
          request(
            `GET /${path}?${parameters.join('&').replaceAll('#', '')} HTTP/1.1`,
            'Host: localhost',
            `Last-Event-ID: ${lastEventId}`,
            `X-Forwarded-For: ${lastEventId}`,
          ),
        );
        expect(await connection.until(/\r\n\r\n/)).toMatch(/^HTTP\/1.1 (200|400|404|431) /);
        connection.socket.destroy();
      }),
      { numRuns: RUNS },
    );
    await isWell();
    await expect.poll(() => running.gateway.counters().open).toEqual({ websocket: 0, sse: 0, poll: 0, socketio: 0 });
  });

  it('leaves no growth behind: a second round takes no more memory than the first', async () => {
    const round = async (): Promise<number> => {
      for (let left = 0; left < 40; left += 1) {
        const client = await connectWebsocket(running.url);
        for (let sent = 0; sent < 50; sent += 1) {
          client.send({ type: 'subscribe', id: sent, topics: [`roulette:nothing ${left} ${sent}`] });
        }
        client.send({ type: 'ping', id: 'last' });
        await client.next('pong');
        client.socket.terminate();
        await client.closed;
      }
      return process.memoryUsage().heapUsed;
    };
    await round();
    const first = await round();
    const second = await round();
    expect(second - first).toBeLessThan(20e6);
    await expect.poll(() => running.feed.subscribers()).toBe(0);
  });
});
