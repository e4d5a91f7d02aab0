import net from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { parseAddress } from '../../../src/gateway/door/address.ts';
import { createSockets, type Sockets } from '../../../src/gateway/door/sockets.ts';
import { HTTP_DEFAULTS } from '../../../src/gateway/http/options.ts';
import { httpRoutes } from '../../../src/gateway/http/routes.ts';
import type { GatewayOptions } from '../../../src/gateway/options.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { fakeDeps } from '../../support/http-deps.ts';
import { connectWebsocket } from '../../support/inbox.ts';

const address = (text: string) => {
  const parsed = parseAddress(text);
  if (parsed === null) throw new Error(`no address: ${text}`);
  return parsed;
};

const A = address('203.0.113.1');
const B = address('203.0.113.2');

const counting = (perAddress: number, all = 1000, reserved = 10): Sockets =>
  createSockets({ perAddress, all, beside: { websocket: 0 }, reserved }, ({ text }) => text === '10.0.0.1', 0);

describe('connections of plain HTTP', () => {
  it('are cut above the limit of their address, and taken again when some of it were closed', () => {
    const sockets = counting(4);
    expect([1, 2, 3, 4, 5].map(() => sockets.opened(A))).toEqual([null, null, null, null, 'address_capacity']);
    expect(sockets.opened(B)).toBeNull();
    sockets.closed();
    sockets.request(A).ended();
    sockets.closed();
    expect(sockets.opened(A)).toBeNull();
    expect(sockets.opened(A)).toBe('address_capacity');
  });

  it('of a caller that closes each after one answer never add up', () => {
    const sockets = counting(20);
    for (let turn = 0; turn < 10_000; turn += 1) {
      expect(sockets.opened(A)).toBeNull();
      sockets.request(A);
      sockets.closed();
    }
    expect(sockets.size()).toBe(0);
  });

  it('of a caller that closes each are not refused beside one that holds all it may', () => {
    const sockets = counting(20);
    for (let held = 0; held < 25; held += 1) if (sockets.opened(A) !== null) sockets.closed();
    for (let second = 1; second <= 120; second += 1) {
      for (let turn = 0; turn < 50; turn += 1) {
        expect(sockets.opened(B)).toBeNull();
        const socket = sockets.request(B);
        if (socket.last) socket.ended();
        sockets.closed();
      }
      // A asks on each of its connections, so that the network leaves them open.
      if (second % 4 === 0) for (let held = 0; held < 20; held += 1) sockets.request(A);
      sockets.sweep(second * 1000);
    }
  });

  it('end with their answers where an address holds many, and of a proxy never', () => {
    const sockets = counting(4);
    const proxy = address('10.0.0.1');
    for (let held = 0; held < 4; held += 1) {
      sockets.opened(A);
      sockets.opened(proxy);
    }
    expect(sockets.request(A).last).toBe(true);
    expect(sockets.request(proxy).last).toBe(false);
    expect([1, 2, 3].map(() => sockets.opened(proxy))).toEqual([null, null, null]);
  });

  it('keep the last ones for operators', () => {
    const sockets = counting(0, 10, 3);
    for (let held = 0; held < 7; held += 1) expect(sockets.opened(B)).toBeNull();
    expect(sockets.request(B)).toMatchObject({ last: false, reserved: false });
    expect(sockets.opened(A)).toBeNull();
    expect(sockets.request(A)).toMatchObject({ last: true, reserved: true });
    sockets.opened(A);
    sockets.opened(A);
    expect(sockets.opened(A)).toBe('capacity');
  });

  it('that bring nothing that can be read are told of, unless they are few', () => {
    const sockets = counting(100);
    for (let turn = 0; turn < 20; turn += 1) {
      sockets.opened(A);
      sockets.closed();
      sockets.opened(B);
      sockets.request(B);
      sockets.closed();
    }
    for (let turn = 0; turn < 5; turn += 1) sockets.opened(address('203.0.113.3'));
    expect(sockets.sweep(1_000)).toEqual([]);
    expect(sockets.sweep(16_000)).toEqual(['203.0.113.1']);
    expect(sockets.sweep(32_000)).toEqual([]);
  });

  it('that ask nothing any more are forgotten', () => {
    const sockets = counting(4);
    for (let held = 0; held < 4; held += 1) sockets.opened(A);
    expect(sockets.opened(A)).toBe('address_capacity');
    sockets.sweep(16_000);
    sockets.sweep(32_000);
    expect(sockets.opened(A)).toBeNull();
  });
});

describe('a gateway', () => {
  let running: TestGateway;
  const open: net.Socket[] = [];
  afterEach(async () => {
    for (const socket of open.splice(0)) socket.destroy();
    await running.gateway.stop();
  });

  const start = async (options: Partial<GatewayOptions>): Promise<void> => {
    running = await startTestGateway(options, { routes: [httpRoutes(fakeDeps(), HTTP_DEFAULTS)] });
  };

  /** Asks once on a new connection, which stays open; the status, or 0 when it was cut. */
  function ask(path: string, from = '127.0.0.1'): Promise<{ status: number; socket: net.Socket }> {
    return new Promise((resolve) => {
      const socket = net.connect({ port: running.port, host: '127.0.0.1', localAddress: from });
      open.push(socket);
      socket.on('error', () => undefined);
      socket.on('data', (chunk) => resolve({ status: Number(String(chunk).split(' ')[1]), socket }));
      socket.on('close', () => resolve({ status: 0, socket }));
      socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    });
  }

  it('that one address holds all it may of serves others, on every transport', async () => {
    await start({ maxConnectionsPerAddress: 8 });
    const held = await Promise.all(Array.from({ length: 40 }, () => ask('/healthz')));
    // Cut before they ask, or ended with their answer: whichever comes first on this network.
    await vi.waitUntil(() => held.filter(({ socket }) => !socket.closed).length <= 8, { timeout: 10_000 });
    expect((await ask('/healthz', '127.0.0.2')).status).toBe(200);
    expect((await ask('/poll?topics=roulette:*&wait=0', '127.0.0.2')).status).toBe(200);
    const neighbour = await connectWebsocket(running.url, { localAddress: '127.0.0.2' });
    neighbour.socket.close();
  });

  it('names the line that a proxy of HTTP/1.0 lacks', async () => {
    await start({ network: 'uws' });
    for (let turn = 0; turn < 8; turn += 1) {
      const socket = net.connect(running.port, '127.0.0.1');
      socket.write('GET /healthz HTTP/1.0\r\nHost: a\r\n\r\n');
      await new Promise((resolve) => socket.once('close', resolve).resume());
    }
    running.passSeconds(17);
    await expect.poll(() => running.lines.filter((line) => line.includes('requests_unreadable'))).toHaveLength(1);
  });

  it('takes an address again whose connections were closed', async () => {
    await start({ maxConnectionsPerAddress: 4 });
    for (let turn = 0; turn < 50; turn += 1) {
      const { status, socket } = await ask('/healthz');
      expect(status).toBe(200);
      await new Promise((resolve) => socket.once('close', resolve).destroy());
    }
  });
});
