import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { connectWebsocket, type WebsocketClient } from '../../support/inbox.ts';

describe('a WebSocket', () => {
  let running: TestGateway;
  let client: WebsocketClient;

  beforeEach(async () => {
    running = await startTestGateway();
    client = await connectWebsocket(running.url);
  });
  afterEach(async () => {
    client.socket.terminate();
    await running.gateway.stop();
  });

  it('is greeted with protocol, epoch, position and limits', async () => {
    expect(await client.next()).toMatchObject({
      type: 'hello',
      protocol: 1,
      instance: 'test',
      epoch: 'e1',
      position: expect.stringMatching(/^[0-9a-f]{22}$/),
      ping_s: 25,
      recovery_s: 600,
      auth: 'none',
      limits: { topics: 100, frame_bytes: 4096 },
    });
  });

  it('gets snapshot, acknowledgement and then events, in this order', async () => {
    running.feed.spin('2010165', 0);
    client.send({ type: 'subscribe', id: 1, topics: ['roulette:2010165'], history: 5 });
    await client.next('subscribed');
    const position = running.feed.spin('2010165', 17);
    running.feed.spin('2010097', 3);
    const event = await client.next('new_number');
    expect(event).toMatchObject({ numero: 17, position, topic: 'roulette:2010165' });
    expect(client.all.map((message) => message['type'])).toEqual(['hello', 'snapshot', 'subscribed', 'new_number']);
    expect(client.all[1]).toMatchObject({ numeros: [{ numero: 0, cor: 'verde' }] });
  });

  it('hears no more of a topic that it left', async () => {
    client.send({ type: 'subscribe', id: 1, topics: ['roulette:2010165', 'roulette:2010097'] });
    await client.next('subscribed');
    client.send({ type: 'unsubscribe', id: 'bye', topics: ['roulette:2010165'] });
    expect(await client.next('unsubscribed')).toEqual({
      type: 'unsubscribed',
      id: 'bye',
      topics: ['roulette:2010165'],
    });
    running.feed.spin('2010165', 1);
    running.feed.spin('2010097', 2);
    expect(await client.next('new_number')).toMatchObject({ numero: 2 });
  });

  it('answers a ping with the position up to which everything was sent', async () => {
    const position = running.feed.sync();
    client.send({ type: 'ping', id: 7 });
    expect(await client.next('pong')).toEqual({ type: 'pong', id: 7, position });
    client.send({ type: 'ping' });
    expect(await client.next('pong')).toEqual({ type: 'pong', id: null, position });
  });

  it('answers an auth frame although nobody asked for one', async () => {
    client.send({ type: 'auth', token: 'whatever' });
    expect(await client.next('authenticated')).toEqual({ type: 'authenticated', expires: null });
  });

  it.each([
    ['{"type":"subscribe","id":3', { code: 'bad_json' }],
    ['{"type":"inject","id":4}', { code: 'unknown_type', id: 4 }],
    ['{"type":"subscribe","id":5,"topics":[]}', { code: 'invalid', id: 5, problems: [{ path: 'topics' }] }],
    ['{"type":"subscribe","id":"x","topics":["roulette:Nowhere"]}', { code: 'unknown_topic', id: 'x' }],
    ['[]', { code: 'invalid' }],
    ['null', { code: 'invalid' }],
    ['{"__proto__":{"type":"ping"},"id":6}', { code: 'invalid', id: 6 }],
  ])('answers %s with a typed error and stays', async (text, error) => {
    client.send(text);
    expect(await client.next('error')).toMatchObject({ type: 'error', retry: 'never', ...error });
    client.send({ type: 'ping', id: 1 });
    await client.next('pong');
  });

  it('closes 4009 after too many errors', async () => {
    for (let sent = 0; sent < 20; sent += 1) client.send('?');
    expect(await client.closed).toEqual({ code: 4009, reason: 'too many errors' });
    expect(client.all.filter((message) => message['type'] === 'error')).toHaveLength(20);
  });

  it('closes 4000 on a binary frame', async () => {
    client.socket.send(Buffer.from('{"type":"ping"}'));
    expect((await client.closed).code).toBe(4000);
  });

  it('tells the feed when it is gone', async () => {
    client.send({ type: 'subscribe', id: 1, topics: ['roulette:*'] });
    await client.next('subscribed');
    expect(running.feed.subscribers()).toBe(1);
    client.socket.close();
    await client.closed;
    const other = await connectWebsocket(running.url);
    await other.next('hello');
    expect(running.feed.subscribers()).toBe(1);
    expect(running.gateway.counters().closed.websocket).toBe(1);
    other.socket.terminate();
  });

  it('is closed as the feed asks, with a bye that says when to come back', async () => {
    client.send({ type: 'subscribe', id: 1, topics: ['roulette:*'] });
    await client.next('subscribed');
    running.feed.giveUp();
    expect(await client.next('bye')).toEqual({ type: 'bye', code: 4200, reason: 'draining or behind', retry_ms: 700 });
    expect((await client.closed).code).toBe(4200);
  });
});
