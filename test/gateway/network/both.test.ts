import uWS from 'uWebSockets.js';
import { once } from 'node:events';
import { get } from 'node:https';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { chooseNetwork, NETWORKS } from '../../../src/gateway/network/choose.ts';
import type { NetworkServer, ServerSocket, SocketBehavior, Tell } from '../../../src/gateway/network/network.ts';
import { openNodeServer } from '../../../src/gateway/network/node.ts';
import { openUwsServer } from '../../../src/gateway/network/uws.ts';
import { rawExchange } from '../../support/http-app.ts';
import { selfSigned } from '../../support/self-signed.ts';

const LIMITS = {
  maxPayloadLength: 100_000,
  maxBackpressure: 1_000_000,
  closeOnBackpressureLimit: 1,
  idleTimeout: 40,
  sendPingsAutomatically: true,
  maxLifetime: 0,
};

describe.each(NETWORKS)('the network %s', (name) => {
  let server: NetworkServer | null = null;
  afterEach(() => {
    server?.close();
    server = null;
  });

  async function start(register: (app: NetworkServer['app']) => void): Promise<number> {
    const { open } = await chooseNetwork(name);
    server = open({ tls: null, maxHeaderBytes: 4096 });
    register(server.app);
    return (await server.listen({ host: '127.0.0.1', port: 0, sharePort: false })).port;
  }

  /** Connects a client; `act` is what the server does once it is open. Texts come in their order. */
  async function texts(
    count: number,
    act: (socket: ServerSocket<object>, publish: (topic: string, text: string) => void) => void,
    ends: SocketBehavior<object>['close'] = () => undefined,
  ): Promise<string[]> {
    const port = await start((app) => {
      app.ws<object>('/ws', {
        ...LIMITS,
        upgrade: (res, req, context) => res.upgrade({}, req.getHeader('sec-websocket-key'), '', '', context),
        open: (socket) => void setImmediate(() => act(socket, (topic, text) => app.publish(topic, text))),
        message: () => undefined,
        dropped: () => undefined,
        close: ends,
      });
    });
    const client = new WebSocket(`ws://127.0.0.1:${port}/ws`);
    const came: string[] = [];
    await new Promise<void>((resolve, reject) => {
      client.on('message', (data) => came.push(String(data)) === count && resolve());
      client.on('error', reject);
      if (count === 0) client.on('close', () => resolve());
    });
    client.terminate();
    return came;
  }

  it.each([0, 125, 126, 65_535, 65_536, 90_000])('sends and publishes a text of %i bytes whole', async (length) => {
    const text = 'x'.repeat(length);
    const came = await texts(2, (socket, publish) => {
      socket.subscribe('a');
      socket.send(text);
      publish('a', text);
    });
    expect(came.map((one) => one === text)).toEqual([true, true]);
  });

  it('keeps the order of what is published and sent in one turn, over several topics', async () => {
    const came = await texts(5, (socket, publish) => {
      socket.subscribe('a');
      socket.subscribe('b');
      publish('a', '1');
      publish('b', '2');
      socket.send('3');
      publish('b', 'ção 4');
      socket.send('5');
    });
    expect(came).toEqual(['1', '2', '3', 'ção 4', '5']);
  });

  it('sends nothing of a topic that was left', async () => {
    const came = await texts(1, (socket, publish) => {
      socket.subscribe('a');
      socket.unsubscribe('a');
      publish('a', 'left');
      socket.send('last');
    });
    expect(came).toEqual(['last']);
  });

  it('tells of an end that this side decided before the call returns', async () => {
    const seen: string[] = [];
    await texts(
      0,
      (socket) => {
        socket.end(4200, 'bye');
        seen.push('returned');
      },
      () => void seen.push('closed'),
    );
    expect(seen).toEqual(['closed', 'returned']);
  });

  it('prefers a route of the method, then plain paths, then names, then wildcards', async () => {
    const port = await start((app) => {
      app.any('/*', (res) => void res.end('any'));
      app.any('/a/:name', (res, req) => void res.end(`named ${req.getParameter(0)}`));
      app.any('/a/b', (res) => void res.end('plain'));
      app.get('/g', (res) => void res.end('get'));
      app.any('/g', (res) => void res.end('not get'));
    });
    const answer = async (path: string, method = 'GET') =>
      await (await fetch(`http://127.0.0.1:${port}${path}`, { method })).text();
    expect(await answer('/a/b')).toBe('plain');
    expect(await answer('/a/c%20d?q')).toBe('named c%20d');
    expect(await answer('/a/b/c')).toBe('any');
    expect([await answer('/g'), await answer('/g', 'POST')]).toEqual(['get', 'not get']);
  });

  it('does not take up a second request on a connection that waits for its first answer', async () => {
    let served = 0;
    const port = await start((app) => {
      app.any('/*', (res) => {
        served += 1;
        res.onAborted(() => undefined);
      });
    });
    const { closed } = await rawExchange(port, 'GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n');
    expect({ closed, served }).toEqual({ closed: true, served: 1 });
  });

  it('refuses a port that is taken', async () => {
    const port = await start(() => undefined);
    const { open } = await chooseNetwork(name);
    const second = open({ tls: null, maxHeaderBytes: 4096 });
    await expect(second.listen({ host: '127.0.0.1', port, sharePort: false })).rejects.toThrow(`127.0.0.1:${port}`);
    second.close();
  });

  it('refuses a header far too long', async () => {
    const port = await start((app) => app.any('/*', (res) => void res.end('served')));
    const long = `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(200_000)}\r\n\r\n`;
    const { status, text } = await rawExchange(port, long);
    expect([0, 431]).toContain(status);
    expect(text).not.toContain('served');
  });

  it('tells of connections under TLS too, and not again of one that became a WebSocket', async () => {
    const told: number[] = [];
    const { open } = await chooseNetwork(name);
    server = open({ tls: selfSigned(), maxHeaderBytes: 4096 });
    const { app } = server;
    const gone = new Promise<void>((resolve) => {
      const tell: Tell = (_connection, change) => {
        told.push(change);
        if (change < 0) resolve();
      };
      app.filter(tell);
    });
    app.ws<object>('/ws', {
      ...LIMITS,
      upgrade: (res, req, context) => res.upgrade({}, req.getHeader('sec-websocket-key'), '', '', context),
      open: () => undefined,
      message: () => undefined,
      dropped: () => undefined,
      close: () => undefined,
    });
    app.any('/*', (res) => void res.end('served', true));
    const { port } = await server.listen({ host: '127.0.0.1', port: 0, sharePort: false });
    const client = new WebSocket(`wss://127.0.0.1:${port}/ws`, { rejectUnauthorized: false });
    await once(client, 'open');
    client.close();
    await once(client, 'close');
    get({ port, host: '127.0.0.1', rejectUnauthorized: false }, (answer) => void answer.resume());
    await gone;
    expect(told).toEqual([1, 1, -1]);
  });

  it('says goodbye to a client that closes', async () => {
    const ended = new Promise<number>((resolve) => {
      void start((app) => {
        app.ws<object>('/ws', {
          ...LIMITS,
          upgrade: (res, req, context) => res.upgrade({}, req.getHeader('sec-websocket-key'), '', '', context),
          open: () => undefined,
          message: () => undefined,
          dropped: () => undefined,
          close: (_socket, code) => resolve(code),
        });
      }).then(async (port) => {
        const client = new WebSocket(`ws://127.0.0.1:${port}/ws`);
        await once(client, 'open');
        client.close(4321);
      });
    });
    expect(await ended).toBe(4321);
  });
});

describe('the interface in between', () => {
  it('adds nothing to uWebSockets.js at run time: what it hands out is its own app', () => {
    const { app, close } = openUwsServer({ tls: null, maxHeaderBytes: 4096 });
    const own = uWS.App();
    expect(Object.keys(app)).toEqual(Object.keys(own));
    for (const call of Object.values(app)) expect(String(call)).toContain('[native code]');
    own.close();
    close();
  });

  it('tells who speaks HTTP/1.0 to the spare which line of nginx is missing', async () => {
    const server = openNodeServer({ tls: null, maxHeaderBytes: 4096 });
    const { port } = await server.listen({ host: '127.0.0.1', port: 0, sharePort: false });
    const { status, text } = await rawExchange(port, 'GET / HTTP/1.0\r\nHost: a\r\n\r\n');
    expect([status, text]).toEqual([505, expect.stringContaining('proxy_http_version 1.1;')]);
    server.close();
  });
});
