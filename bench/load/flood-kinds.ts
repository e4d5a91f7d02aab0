import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';

/** What a flood attacks, and with what. It comes from an address of its own, so that limits of addresses meet it alone. */
export interface FloodTarget {
  readonly port: number;
  readonly token: string;
  /** Of a scraper, which floods with it. */
  readonly key: string;
}

export const FLOODED_TABLE = '2010033';
const HOST = '127.0.0.1';
const FROM = '127.0.0.2';
const LANES = 16;

/** Connections that a flood tries to hold at once: more than an address may have. */
const HELD = 600;

const agent = new Agent({ keepAlive: true, maxSockets: LANES, localAddress: FROM });

/** Sends a request and resolves when its answer has come, or its connection ended. */
function ask(port: number, method: string, path: string, headers: Record<string, string>, body = ''): Promise<void> {
  return new Promise((resolve) => {
    const asked = request({ host: HOST, port, method, path, headers, agent }, (answer) => {
      answer.resume().once('close', resolve);
    });
    asked.once('error', () => resolve());
    asked.end(body);
  });
}

/** One thing over and over, on each lane. */
type Flood = (target: FloodTarget) => Promise<unknown>;

/** Lanes that never wait for anything but their own answers. */
const onLanes =
  (once: Flood): Flood =>
  (target) =>
    Promise.all(
      Array.from({ length: LANES }, async () => {
        for (;;) await once(target);
      }),
    );

/** Connections that are opened again whenever the service ends them, and say this when they open. */
const holding =
  (opening: (target: FloodTarget) => string): Flood =>
  (target) =>
    Promise.all(
      Array.from({ length: HELD }, async () => {
        for (;;) {
          await new Promise<void>((resolve) => {
            const socket = connect({ port: target.port, host: HOST, localAddress: FROM });
            socket.on('error', () => undefined).once('close', () => resolve());
            socket.resume().once('connect', () => socket.write(opening(target)));
          });
          await delay(50);
        }
      }),
    );

/** Opens a WebSocket, sends these frames as fast as they go, and waits for its end, or ends it. */
function speak({ port }: FloodTarget, path: string, frames: readonly string[], waits = true): Promise<void> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://${HOST}:${port}${path}`, { perMessageDeflate: false, localAddress: FROM });
    const late = setTimeout(() => socket.terminate(), 1_000);
    socket.on('error', () => undefined);
    socket.once('close', () => {
      clearTimeout(late);
      resolve();
    });
    socket.once('open', () => {
      for (const frame of frames) socket.send(frame);
      if (!waits) socket.close();
    });
  });
}

const JSON_TYPE = { 'Content-Type': 'application/json' };
const BATCH = JSON.stringify(Array.from({ length: 500 }, () => ({ roleta_id: FLOODED_TABLE, numero: 7 })));
const PINGS = Array.from({ length: 200 }, (_, id) => `{"type":"ping","id":${id}}`);
const BAD_JOINS = Array.from({ length: 50 }, () => '40{"token":"x"}');

let invented = 3_000_000;
const newTables = (): string =>
  JSON.stringify(Array.from({ length: 100 }, () => ({ roleta_id: String(invented++), numero: 7 })));

/** Everything that one address may try, as fast as it can. */
export const FLOODS: Readonly<Record<string, Flood>> = {
  'posts of 500 numbers with a key': onLanes(({ port, key }) =>
    ask(port, 'POST', '/api/v1/numbers', { ...JSON_TYPE, 'X-Api-Key': key }, BATCH),
  ),
  'posts of 500 numbers with a wrong key': onLanes(({ port }) =>
    ask(port, 'POST', '/api/v1/numbers', { ...JSON_TYPE, 'X-Api-Key': 'wrong-key-wrong-key' }, BATCH),
  ),
  'posts for tables that nobody knows': onLanes(({ port, key }) =>
    ask(port, 'POST', '/api/v1/numbers', { ...JSON_TYPE, 'X-Api-Key': key }, newTables()),
  ),
  'bodies that never end': holding(
    ({ key }) =>
      `POST /api/v1/numbers HTTP/1.1\r\nHost: a\r\nX-Api-Key: ${key}\r\nContent-Type: application/json\r\n` +
      `Content-Length: 524288\r\n\r\n${' '.repeat(60_000)}`,
  ),
  'connections that are kept open': holding(() => 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'),
  'reads of all tables': onLanes(({ port, token }) =>
    ask(port, 'GET', '/api/v1/tables', { Authorization: `Bearer ${token}` }),
  ),
  'polls with bad tokens': onLanes(({ port }) =>
    ask(port, 'GET', '/poll?topics=roulette:*&wait=0', { Authorization: `Bearer ${'x'.repeat(200)}` }),
  ),
  'bad joins over Socket.IO': onLanes((target) => speak(target, '/socket.io/?EIO=4&transport=websocket', BAD_JOINS)),
  'frames on WebSockets': onLanes((target) => speak(target, `/ws?token=${target.token}`, PINGS)),
  'WebSockets that come and go': onLanes((target) => speak(target, `/ws?token=${target.token}`, [], false)),
};
