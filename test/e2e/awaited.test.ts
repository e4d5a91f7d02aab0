import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Client, connect } from '../../src/client/connect.ts';
import { uuidOf } from '../../src/roulette/table.ts';
import { type Stage, startStage } from '../docs/stage.ts';
import { tableId } from '../support/http-deps.ts';
import { connectWebsocket, type Message } from '../support/inbox.ts';
import { subscribe, TRANSPORTS, type TransportName } from '../support/subscribers.ts';

const SECRET = 'a secret that is long enough for HS256';

let stage: Stage;
let mongo: MongoClient;

beforeAll(async () => {
  stage = await startStage({ MAX_TOPICS: '3', SYNC_INTERVAL_MS: '1000' });
  mongo = new MongoClient(stage.mongoUri);
});
afterAll(async () => {
  await mongo.close();
  await stage.stop();
});

const host = (): string => new URL(stage.url).host;
const post = (roleta_id: string, numero: number, roleta_nome?: string) =>
  stage.post('/api/v1/numbers', { roleta_id, numero, ...(roleta_nome === undefined ? {} : { roleta_nome }) });
const metadados = () => mongo.db(stage.database).collection('metadados', { writeConcern: { w: 'majority' } });
const rename = (roleta_id: string, roleta_nome: string) =>
  metadados().updateOne({ roleta_id }, { $set: { roleta_nome } }, { upsert: true });
const fresh = (text: string): string => `${text}-${randomUUID().slice(0, 8)}`;
const typesOf = (messages: readonly Message[]): unknown[] =>
  messages
    .map(({ type }) => type)
    .filter((type) => type !== 'hello' && type !== 'sync' && type !== 'table_added' && type !== 'bye');

/** The ack of the next poll says it again; what is of interest comes once. */
const withoutAcks = (messages: readonly Message[]): unknown[] =>
  typesOf(messages).filter((type) => type !== 'subscribed');

const clientOver = (transport: TransportName): Client => connect(stage.url, { transports: [transport], WebSocket });

describe.each(TRANSPORTS)('a topic that nobody knows yet, over %s', (transport) => {
  it.each([
    ['an id', (id: string) => id],
    ['a UUID', (id: string) => uuidOf(tableId(id))],
    ['a name', (id: string) => `Mesa de ${id}`],
  ])('begins by itself with the first number, asked for by %s', async (_, referenceOf) => {
    const id = fresh('wheel');
    const topic = `roulette:${referenceOf(id)}`;
    const subscriber = await subscribe(transport, host(), { topics: [topic] });
    const ack = await subscriber.next('subscribed');
    expect(ack['topics']).toEqual([{ topic, recovered: false, reason: 'new', pending: true }]);
    await post(id, 17, `Mesa de ${id}`);
    await subscriber.next('new_number');
    await post(id, 0, `Mesa de ${id}`);
    await subscriber.next('new_number');
    expect(withoutAcks(subscriber.all)).toEqual(['resolved', 'snapshot', 'new_number', 'new_number']);
    const told = subscriber.all.filter(({ type }) => type === 'resolved' || type === 'snapshot');
    expect(told).toMatchObject([{ topic: `roulette:${id}`, roleta_id: id, asked: topic }, { numeros: [] }]);
    subscriber.stop();
  });

  it('begins with the whole table when one that is there takes the name', async () => {
    const id = fresh('renamed');
    await post(id, 5);
    const name = fresh('Nova Mesa');
    const subscriber = await subscribe(transport, host(), { topics: [`roulette:${name}`] });
    await subscriber.next('subscribed');
    await rename(id, name);
    expect(await subscriber.next('snapshot')).toMatchObject({ roleta_id: id, numeros: [{ numero: 5 }] });
    await post(id, 6);
    expect(await subscriber.next('new_number')).toMatchObject({ numero: 6 });
    subscriber.stop();
  });

  it('begins a second table of a name, and goes on with both', async () => {
    const [first, second, name] = [fresh('first'), fresh('second'), fresh('VIP')];
    await post(first, 1, name);
    const subscriber = await subscribe(transport, host(), { topics: [`roulette:${name}`] });
    await subscriber.next('subscribed');
    await post(second, 2, name);
    expect(await subscriber.next('resolved')).toMatchObject({ roleta_id: second });
    expect(await subscriber.next('new_number')).toMatchObject({ roleta_id: second, numero: 2 });
    await post(first, 3, name);
    expect(await subscriber.next('new_number')).toMatchObject({ roleta_id: first, numero: 3 });
    subscriber.stop();
  });

  it('is taken up anew by the client library, whose listeners hear every event once', async () => {
    const [id, name] = [fresh('library'), fresh('Biblioteca')];
    const client = clientOver(transport);
    const heard: number[] = [];
    const subscription = client.subscribe(`roulette:${name}`, { onNumber: ({ numero }) => void heard.push(numero) });
    await subscription.ready();
    expect(subscription.tables.size).toBe(0);
    await post(id, 8, name);
    await expect.poll(() => heard).toEqual([8]);
    client.interrupt();
    await post(id, 9, name);
    await expect.poll(() => heard).toEqual([8, 9]);
    expect([...subscription.tables.keys()]).toEqual([id]);
    client.close();
  });

  it.runIf(transport === 'websocket')('is left when nobody wants it any more as it begins', async () => {
    const [id, name] = [fresh('left'), fresh('Esquecida')];
    const client = clientOver(transport);
    const left = client.subscribe(`roulette:${name}`);
    await left.ready();
    const seen: unknown[] = [];
    client.listen('message', (message) => seen.push(message.type));
    left.unsubscribe();
    await post(id, 4, name);
    await expect.poll(() => seen).toContain('unsubscribed');
    client.close();
  });
});

describe('topics that are waited for', () => {
  it('count for MAX_TOPICS', async () => {
    const names = Array.from({ length: 4 }, () => `roulette:${fresh('Ninguém')}`);
    const subscriber = await subscribe('websocket', host(), { topics: names });
    expect(await subscriber.next('error')).toMatchObject({ code: 'too_many_topics' });
    subscriber.stop();
  });

  it.each(['sse', 'poll'] as const)(
    'begin with a snapshot where they came to mean a table meanwhile, over %s',
    async (transport) => {
      const [known, late, name] = [fresh('known'), fresh('late'), fresh('Tardia')];
      await post(known, 1);
      await post(late, 2);
      const topics = [`roulette:${known}`, `roulette:${name}`];
      const before = await subscribe(transport, host(), { topics });
      await before.next('subscribed');
      const stand = before.stand();
      expect(stand).toMatch(/!1:0$/);
      before.stop();
      await before.over;
      await rename(late, name);
      await post(known, 3);
      const after = await subscribe(transport, host(), { topics, after: stand });
      const ack = await after.next('subscribed');
      expect(ack['topics']).toEqual([
        { topic: `roulette:${known}`, recovered: true, replayed: 1 },
        { topic: `roulette:${late}`, recovered: false, reason: 'new' },
      ]);
      expect(after.all).toContainEqual(expect.objectContaining({ type: 'resolved', roleta_id: late }));
      expect(after.all).toContainEqual(expect.objectContaining({ type: 'snapshot', roleta_id: late }));
      expect(after.stand()).not.toContain('!');
      after.stop();
    },
  );

  it('begin after a restart of the stream too', async () => {
    const [id, name] = [fresh('restored'), fresh('Restaurada')];
    const subscriber = await subscribe('websocket', host(), { topics: [`roulette:${name}`] });
    await subscriber.next('subscribed');
    await mongo.db(stage.database).collection('_rt_meta').drop();
    await post(id, 7, name);
    expect(await subscriber.next('resolved')).toMatchObject({ roleta_id: id });
    subscriber.stop();
  });
});

/** A service that needs tokens, and one for these tables. */
async function startClosed(tables: readonly string[]) {
  const closed = await startStage({ AUTH: 'jwt', JWT_SECRET: SECRET });
  const token = await new SignJWT({ tables })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(SECRET));
  // Right after its start a service does not know yet which tokens were revoked.
  await expect.poll(async () => (await fetch(`${closed.url}/api/v1/tables?token=${token}`)).status).toBe(200);
  return { ...closed, token, host: new URL(closed.url).host };
}

describe('a token that names tables', () => {
  it('is given those alone of what a name comes to mean', async () => {
    const [mine, other, name] = [fresh('mine'), fresh('other'), fresh('Dividida')];
    const closed = await startClosed([mine]);
    const { host: url, token } = closed;
    const subscriber = await subscribe('websocket', url, { topics: [`roulette:${name}`, `roulette:${other}`], token });
    const ack = await subscriber.next('subscribed');
    expect(ack['topics']).toMatchObject([{ pending: true }, { pending: true }]);
    await closed.post('/api/v1/numbers', { roleta_id: other, numero: 1, roleta_nome: name });
    await closed.post('/api/v1/numbers', { roleta_id: mine, numero: 2, roleta_nome: name });
    expect(await subscriber.next('new_number')).toMatchObject({ roleta_id: mine, numero: 2 });
    expect(subscriber.all.filter(({ roleta_id }) => roleta_id === other)).toEqual([]);
    subscriber.stop();
    await closed.stop();
  });

  it('does not learn by leaving a table that it may not see what that is called', async () => {
    const [mine, other, name] = [fresh('mine'), fresh('other'), fresh('Escondida')];
    const closed = await startClosed([mine]);
    await closed.post('/api/v1/numbers', { roleta_id: other, numero: 1, roleta_nome: name });
    await closed.post('/api/v1/numbers', { roleta_id: mine, numero: 2 });
    const client = await connectWebsocket(closed.host, { headers: { authorization: `Bearer ${closed.token}` } });
    // Its own table is known, and so is the other, which came before it.
    client.send({ type: 'subscribe', id: 1, topics: [`roulette:${name}`, `roulette:${mine}`] });
    await client.next(({ type, numeros }) => type === 'new_number' || (Array.isArray(numeros) && numeros.length > 0));
    client.send({ type: 'unsubscribe', id: 2, topics: [`roulette:${other}`] });
    expect(await client.next('unsubscribed')).toMatchObject({ id: 2, topics: [] });
    client.send({ type: 'unsubscribe', id: 3, topics: [`roulette:${name}`] });
    expect(await client.next('unsubscribed')).toMatchObject({ id: 3, topics: [`roulette:${name}`] });
    client.socket.terminate();
    await closed.stop();
  });
});
