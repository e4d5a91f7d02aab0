import uWS from 'uWebSockets.js';
import { get } from 'node:https';
import { afterEach, describe, expect, it } from 'vitest';
import { GatewayStartError, type NetworkApp } from '../../src/gateway/network/network.ts';
import { canSharePort } from '../../src/gateway/network/node.ts';
import type { Delivery } from '../../src/protocol/delivery.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { connectWebsocket } from '../support/inbox.ts';
import { TEST_NETWORK } from '../support/network.ts';
import { selfSigned } from '../support/self-signed.ts';
import { subscribe } from '../support/subscribers.ts';

describe('a gateway', () => {
  let running: TestGateway[] = [];
  const start = async (...args: Parameters<typeof startTestGateway>): Promise<TestGateway> => {
    const one = await startTestGateway(...args);
    running.push(one);
    return one;
  };
  /** uWebSockets sets neither SO_REUSEADDR nor SO_REUSEPORT for port 0. */
  const freePort = async (): Promise<number> => {
    const { gateway, port } = await startTestGateway();
    await gateway.stop();
    return port;
  };
  afterEach(async () => {
    for (const { gateway } of running) await gateway.stop();
    running = [];
  });

  it('fails to start on a port that is taken, which uWebSockets alone would share in silence', async () => {
    const port = await freePort();
    await start({ port });
    await expect(startTestGateway({ port })).rejects.toThrow(GatewayStartError);
    await expect(startTestGateway({ port })).rejects.toThrow(`127.0.0.1:${port}`);
    const shared = await new Promise((resolve) => uWS.App().listen('127.0.0.1', port, resolve));
    expect(shared, 'an exclusive port refuses a sharing one too').toBe(false);
  });

  it('would share its port with any second server if it did not ask for it alone', async () => {
    const port = await freePort();
    const apps = [uWS.App(), uWS.App()];
    for (const app of apps)
      expect(await new Promise((resolve) => app.listen('127.0.0.1', port, resolve))).not.toBe(false);
    for (const app of apps) app.close();
  });

  it('starts again at once on the port of one that stopped with connections open', async () => {
    const port = await freePort();
    const first = await start({ port });
    await connectWebsocket(first.url);
    await first.gateway.stop();
    await start({ port });
  });

  it('shares its port only when told to, or says what that needs', async () => {
    const port = await freePort();
    if (TEST_NETWORK === 'node' && !canSharePort()) {
      await expect(start({ sharePort: true, port })).rejects.toThrow('Node 22.12');
      return;
    }
    await start({ sharePort: true, port });
    await start({ sharePort: true, port });
    await expect(startTestGateway({ port })).rejects.toThrow(GatewayStartError);
  });

  it('fails to start on an address that is not this machine’s', async () => {
    await expect(startTestGateway({ host: '203.0.113.1' })).rejects.toThrow(GatewayStartError);
  });

  it('serves over TLS from certificate files, and names files that are none', async () => {
    const pair = selfSigned();
    const { port } = await start({ tls: pair });
    const status = await new Promise((resolve, reject) => {
      get({ port, host: '127.0.0.1', path: '/ws', rejectUnauthorized: false }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      }).on('error', reject);
    });
    expect(status).toBe(426);
    await expect(startTestGateway({ tls: { certFile: '/nowhere', keyFile: '/nowhere' } })).rejects.toThrow(/\/nowhere/);
  });

  it('serves the routes that it is handed after its own', async () => {
    const route = (app: NetworkApp) => void app.get('/*', (res) => void res.end('handed'));
    const { url } = await start({}, { routes: [route] });
    expect(await (await fetch(`http://${url}/anything`)).text()).toBe('handed');
    expect((await fetch(`http://${url}/ws`)).status).toBe(426);
  });

  it('warns and caps connections when descriptors would run out', async () => {
    const { lines } = await start({ maxConnections: 9_000_000 });
    expect(lines.join()).toContain('connections_capped_by_descriptors');
  });

  it.each(['subscribe', 'drained'] as const)(
    'survives a feed that throws in %s, ends that connection and counts the defect',
    async (method) => {
      const { feed } = await start();
      const throwing = (): never => {
        throw new Error('defect');
      };
      const open: Delivery['open'] = (link, options) => ({ ...feed.delivery.open(link, options), [method]: throwing });
      const broken = await start(
        { softBacklogBytes: 1024, replayBytesPerSecond: 1024 },
        { delivery: { ...feed.delivery, open } },
      );
      for (let numero = 0; numero < 100; numero += 1) feed.spin('2010165', numero);
      const client = await connectWebsocket(broken.url);
      client.send({ type: 'subscribe', id: 1, topics: ['roulette:*'], after: '67449f0a00000000ffffff' });
      expect((await client.closed).code).toBe(1011);
      const stream = await subscribe('sse', broken.url, { topics: ['roulette:*'], after: '67449f0a00000000ffffff' });
      await stream.over;
      expect(broken.gateway.counters().failures).toBe(2);
      expect(broken.lines.join()).toContain('defect');
      const { status } = await fetch(`http://${broken.url}/poll?topics=nothing`);
      expect(status).toBeGreaterThanOrEqual(400);
    },
  );
});
