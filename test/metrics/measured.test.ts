import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMetrics, type Metrics } from '../../src/metrics/metrics.ts';
import type { Publish } from '../../src/protocol/delivery.ts';
import { frameOf, topicOf } from '../../src/protocol/messages.ts';
import { positionOf } from '../../src/protocol/position.ts';
import { createFakeFeed, type FakeFeed } from '../support/fake-feed.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { LIVE } from '../support/http-deps.ts';
import { connectWebsocket, type WebsocketClient } from '../support/inbox.ts';
import { readExposition, seriesValue } from './exposition.ts';

const SECOND = 0x67449f0a;
const A = '2010165';
const B = '2010097';

let metrics: Metrics;
let feed: FakeFeed;
let running: TestGateway;
let publish: Publish;
let dateMs: number;
const clients: WebsocketClient[] = [];

beforeEach(async () => {
  dateMs = SECOND * 1000 + 400;
  feed = createFakeFeed(undefined, {
    publishing: (frame, committedMs) => metrics.deliveryObserver.publishing(frame, committedMs),
    subscribed: (results) => metrics.deliveryObserver.subscribed(results),
    snapshot: () => metrics.deliveryObserver.snapshot(),
  });
  metrics = createMetrics(
    { version: '0.1.0', instance: 'test' },
    {
      feed: () => LIVE,
      gateway: () => running.gateway.counters(),
      tables: () => [],
      databaseOk: () => true,
      builtinMongo: () => null,
      hearing: feed.delivery.hearing,
      subscriptions: feed.delivery.subscriptions,
    },
    { now: () => performance.now(), date: () => dateMs },
  );
  running = await startTestGateway({ dryRun: true, maxConnectionsPerAddress: 3 }, { feed });
  publish = metrics.publish(running.gateway.publish);
  feed.connect(publish);
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.terminate();
  metrics.stop();
  await running.gateway.stop();
});

const message = {
  type: 'new_number',
  topic: topicOf(A),
  position: positionOf({ t: SECOND, i: 1 }, 0),
  prev: null,
  roleta_id: A,
  roleta_nome: 'x ,"suspeito":true',
  id: 'n1',
  numero: 0,
  cor: 'verde',
  timestamp: '2026-11-24T13:00:00.000Z',
} as const;

async function connect(...topics: (string | { topic: string; after: string })[]): Promise<WebsocketClient> {
  const client = await connectWebsocket(running.url);
  clients.push(client);
  client.send({ type: 'subscribe', id: 1, topics });
  await client.next('subscribed');
  return client;
}

const value = async (name: string, labels: Readonly<Record<string, string>> = {}) =>
  seriesValue(readExposition(await metrics.text()), name, labels);

describe('measured between feed and transports', () => {
  it('subscriptions are counted by kind, and forgotten when their connection goes', async () => {
    const client = await connect(`roulette:${A}`, `roulette:${B}`);
    await connect('roulette:*');
    expect(await value('runcash_subscriptions', { kind: 'table' })).toBe(2);
    expect(await value('runcash_subscriptions', { kind: 'all' })).toBe(1);
    client.send({ type: 'unsubscribe', id: 2, topics: [`roulette:${B}`] });
    await client.next('unsubscribed');
    expect(await value('runcash_subscriptions', { kind: 'table' })).toBe(1);
    client.socket.close();
    await client.closed;
    await expect.poll(() => feed.subscribers()).toBe(1);
    expect(await value('runcash_subscriptions', { kind: 'table' })).toBe(0);
    expect(await value('runcash_connections_ended_total', { transport: 'websocket' })).toBe(1);
  });

  it('an event counts once, and its deliveries and bytes for each connection that gets it', async () => {
    const both = [await connect(`roulette:${A}`), await connect(`roulette:${A}`), await connect('roulette:*')];
    feed.spin(A, 17);
    feed.spin(B, 3);
    const [first] = await Promise.all(both.map((client) => client.next('new_number')));
    const bytes = Buffer.byteLength(JSON.stringify(first));
    expect(await value('runcash_published_total', { type: 'new_number' })).toBe(2);
    expect(await value('runcash_deliveries_total', { audience: 'table' })).toBe(2);
    expect(await value('runcash_deliveries_total', { audience: 'all' })).toBe(2);
    expect(await value('runcash_delivered_bytes_total', { audience: 'table' })).toBe(2 * bytes);
    // That of the table which nobody hears is no time of a fan-out.
    expect(await value('runcash_publish_seconds_count', { audience: 'table' })).toBe(1);
  });

  it('notices count once, and those of a new table to the listeners of all tables alone', async () => {
    await connect(`roulette:${A}`);
    await connect('roulette:*');
    feed.sync();
    publish('roulette:*', frameOf({ type: 'table_added', topic: topicOf(B), roleta_id: B, roleta_nome: 'x' }));
    expect(await value('runcash_published_total', { type: 'sync' })).toBe(1);
    expect(await value('runcash_published_total', { type: 'table_added' })).toBe(1);
    expect(await value('runcash_deliveries_total', { audience: 'everyone' })).toBe(2);
    expect(await value('runcash_deliveries_total', { audience: 'all' })).toBe(1);
  });

  it('recoveries are told by their result and by how much was replayed', async () => {
    const after = feed.spin(A, 1);
    for (const numero of [2, 3, 4]) feed.spin(A, numero);
    await connect({ topic: `roulette:${A}`, after }, { topic: `roulette:${B}`, after: 'x'.repeat(22) });
    await connect(`roulette:${A}`);
    expect(await value('runcash_recoveries_total', { result: 'recovered' })).toBe(1);
    expect(await value('runcash_recoveries_total', { result: 'malformed' })).toBe(1);
    expect(await value('runcash_recoveries_total', { result: 'new' })).toBe(1);
    expect(await value('runcash_recovery_events_sum')).toBe(3);
    expect(await value('runcash_snapshots_sent_total')).toBe(2);
  });

  it('the age of an event is counted from its commit: as the feed tells it', async () => {
    feed.spin(A, 17);
    expect(await value('runcash_event_age_seconds_sum')).toBeCloseTo(0.4);
    metrics.deliveryObserver.publishing(frameOf(message), dateMs - 25);
    expect(await value('runcash_event_age_seconds_sum')).toBeCloseTo(0.425);
    // A clock of MongoDB that goes before ours makes no negative age.
    dateMs = 0;
    feed.spin(A, 19);
    expect(await value('runcash_event_age_seconds_sum')).toBeCloseTo(0.425);
    expect(await value('runcash_event_age_seconds_count')).toBe(3);
  });

  it('suspect numbers are counted by their mark, not by what their text holds', async () => {
    metrics.deliveryObserver.publishing(frameOf(message), dateMs);
    expect(await value('runcash_suspect_numbers_total')).toBe(0);
    metrics.deliveryObserver.publishing(frameOf({ ...message, suspeito: true }), dateMs);
    expect(await value('runcash_suspect_numbers_total')).toBe(1);
  });
});

describe('measured in the gateway', () => {
  it('limits that a dry run lets through count as hit', async () => {
    for (let connection = 0; connection < 4; connection++) await connect(`roulette:${A}`);
    expect(await value('runcash_limit_hits_total', { limit: 'address_capacity' })).toBe(1);
    expect(await value('runcash_limits_passed_total', { reason: 'address_capacity' })).toBe(1);
    expect(await value('runcash_connections_refused_total', { reason: 'address_capacity' })).toBe(0);
    expect(await value('runcash_connections', { transport: 'websocket' })).toBe(4);
  });

  it('ingest is told by kind, key and outcome, its time in the database apart', async () => {
    metrics.observe.ingest('number', 'mesa', 'created');
    metrics.observe.ingest('number', 'mesa', 'rate_limited');
    metrics.observe.inserted('number', 2, 4);
    metrics.observe.unauthorized('/api/v1/numbers');
    metrics.observe.request('/api/v1/numbers', 'POST', 201, 5);
    expect(await value('runcash_ingest_total', { kind: 'number', key: 'mesa', outcome: 'created' })).toBe(1);
    expect(await value('runcash_limit_hits_total', { limit: 'ingest_rate' })).toBe(1);
    expect(await value('runcash_ingest_insert_seconds_bucket', { kind: 'number', le: '0.005' })).toBe(1);
    expect(await value('runcash_ingest_unauthorized_total', { route: '/api/v1/numbers' })).toBe(1);
    expect(await value('runcash_http_requests_total', { method: 'POST', status: '201' })).toBe(1);
    expect(metrics.totals()).toMatchObject({ stored: 1, rejected: { rate_limited: 1 }, unauthorized: 1 });
  });

  it('memory, CPU and the lag of the event loop are there', async () => {
    await expect.poll(() => value('runcash_event_loop_lag_seconds_count')).toBeGreaterThan(0);
    expect(await value('runcash_memory_bytes', { kind: 'rss' })).toBeGreaterThan(1e6);
    expect(await value('process_cpu_seconds_total')).toBeGreaterThan(0);
    const started = (await value('process_start_time_seconds')) ?? 0;
    expect(Math.abs(started - (Date.now() - performance.now()) / 1000)).toBeLessThan(5);
    expect(await value('runcash_build_info', { version: '0.1.0', node: process.version, instance_id: 'test' })).toBe(1);
  });
});
