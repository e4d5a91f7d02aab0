import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { createSignals } from '../../../src/app/data.ts';
import { createRing, readLog } from '../../../src/feed/ring.ts';
import { topicOf } from '../../../src/protocol/messages.ts';
import { ORIGIN, type Position, positionOf } from '../../../src/protocol/position.ts';
import type { TableId } from '../../../src/roulette/table.ts';
import { type HttpApp, startHttpApp } from '../../support/http-app.ts';
import { tableDetail, tableId } from '../../support/http-deps.ts';

/**
 * Where the conformance tests write. Creating, appending and deleting are MongoDB's in the product, so they are done
 * here, on a log in memory; everything that is read goes through the routes of the service. An event of the service is
 * JSON: what the tests append as text stands in it as a string of JSON, and comes back as the text.
 */
export interface WritableLog {
  readonly url: string;
  stop(): Promise<void>;
}

const EPOCH = 'e1-test';

/** Streams by table, each with the media type that it was created with. */
type Streams = Map<TableId, string>;

function memoryLog() {
  const streams: Streams = new Map();
  const signals = createSignals();
  const ring = createRing(ORIGIN, { seconds: 3600, bytes: 2 ** 30 });
  let appended = 0;
  const append = (table: TableId, text: string): Position => {
    appended += 1;
    const position = positionOf({ t: 1, i: appended }, 0);
    const frame = { type: 'new_number', text, topic: topicOf(table), position, epoch: null } as const;
    ring.push({ table, position, frame });
    signals.publish(topicOf(table), frame);
    return position;
  };
  return { streams, ring, append, changed: signals.changed };
}
type MemoryLog = ReturnType<typeof memoryLog>;

const startApp = ({ streams, ring, changed }: MemoryLog): Promise<HttpApp> =>
  startHttpApp(
    { logWaitMs: 1_000, readsPerSecondPerAddress: 0 },
    {
      resolve: (reference) => [...streams.keys()].filter((table) => table === reference),
      table: (table) => (streams.has(table) ? tableDetail(table) : null),
      readLog: (tables, after) => readLog({ epoch: EPOCH, ring, logFloor: () => ORIGIN }, tables, after),
      changed,
    },
  );

/** What an append becomes: a value of JSON for each event. */
function valuesOf(type: string, body: Buffer): unknown[] {
  if (body.length === 0) return [];
  if (type !== 'application/json') return [body.toString('utf8')];
  const value: unknown = JSON.parse(body.toString('utf8'));
  return Array.isArray(value) ? value : [value];
}

const typeOf = (request: IncomingMessage): string =>
  (request.headers['content-type'] ?? 'application/octet-stream').split(';', 1).join('').toLowerCase();

async function write(request: IncomingMessage, response: ServerResponse, table: TableId, log: MemoryLog) {
  const body = await buffer(request);
  const known = log.streams.get(table);
  if (request.method === 'DELETE') {
    log.streams.delete(table);
    response.writeHead(known === undefined ? 404 : 204).end();
    return;
  }
  if (request.method === 'POST' && known === undefined) {
    response.writeHead(404).end();
    return;
  }
  const type = known ?? typeOf(request);
  log.streams.set(table, type);
  for (const value of valuesOf(type, body)) log.append(table, JSON.stringify(value));
  const next = `${EPOCH}.${log.ring.lastOf(table) ?? ORIGIN}`;
  const status = request.method === 'POST' ? 204 : known === undefined ? 201 : 200;
  response.writeHead(status, { 'stream-next-offset': next, 'content-type': type, location: request.url ?? '' }).end();
}

const asText = (json: string): string => (json === '' ? '' : JSON.parse(json).join(''));

/** Data of one event of a stream, as the tests gave it. */
const asEvent = (block: string): string =>
  block.replace(/^data:(\[.*\])$/m, (_line, json: string) =>
    asText(json)
      .split(/\r\n|\r|\n/)
      .map((line) => `data:${line}`)
      .join('\n'),
  );

async function read(request: IncomingMessage, response: ServerResponse, app: HttpApp, type: string) {
  const leaving = new AbortController();
  response.on('close', () => leaving.abort());
  const path = (request.url ?? '').replace('/v1/stream/', '/api/v1/log/roulette:');
  const { method = 'GET', headers } = request;
  const passed = ['if-none-match', 'origin', 'access-control-request-method', 'access-control-request-headers'];
  const answer = await fetch(app.url + path, {
    method,
    signal: leaving.signal,
    headers: Object.entries(headers).flatMap(([name, value]): [string, string][] =>
      passed.includes(name) && typeof value === 'string' ? [[name, value]] : [],
    ),
  });
  const isText = type !== 'application/json' && answer.ok;
  const isEvents = answer.headers.get('content-type') === 'text/event-stream';
  const kept = [...answer.headers].filter(([name]) => !['content-length', 'connection', 'date'].includes(name));
  const own = isText && !isEvents ? { 'content-type': type } : {};
  response.writeHead(answer.status, { ...Object.fromEntries(kept), ...own });
  response.flushHeaders();
  if (!isEvents) {
    const text = await answer.text();
    response.end(isText ? asText(text) : text);
    return;
  }
  let pending = '';
  const decoder = new TextDecoder();
  for await (const part of answer.body ?? []) {
    const blocks = (pending + decoder.decode(part, { stream: true })).split('\n\n');
    pending = blocks.pop() ?? '';
    for (const block of blocks) response.write(`${isText ? asEvent(block) : block}\n\n`);
  }
  response.end();
}

/** Starts the routes of the service over a log in memory, and the tests' way to write into it. */
export async function startWritableLog(): Promise<WritableLog> {
  const log = memoryLog();
  const app = await startApp(log);
  const front = createServer((request, response) => {
    const name = new URL(request.url ?? '', 'http://front').pathname.split('/').at(-1) ?? '';
    const table = tableId(decodeURIComponent(name));
    const isWrite = ['PUT', 'POST', 'DELETE'].includes(request.method ?? '');
    const done = isWrite
      ? write(request, response, table, log)
      : read(request, response, app, log.streams.get(table) ?? 'application/json');
    // A test that leaves ends its request, and with it what was read for it.
    done.catch(() => response.destroy());
  }).listen(0, '127.0.0.1');
  await once(front, 'listening');
  const address = front.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    async stop() {
      front.closeAllConnections();
      front.close();
      await once(front, 'close');
      app.stop();
    },
  };
}
