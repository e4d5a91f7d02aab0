import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serveRouletteStream } from '../../src/legacy/roulette-stream.ts';
import { EVERYONE } from '../../src/protocol/delivery.ts';
import { frameOf } from '../../src/protocol/messages.ts';
import { startTestGateway } from '../support/gateway.ts';
import { tableDetail, tableId } from '../support/http-deps.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { startRuncashProcess } from '../support/process.ts';

const STREAM = '/api/stream/roulettes';
const SECRET = 'a-secret-of-more-than-thirty-two-bytes';
const A = '2010165';
const B = 'LightningRoulette00001@evolution';

let mongo: TestMongo;
let open: Awaited<ReturnType<typeof startRuncashProcess>>;
let closed: typeof open;
beforeAll(async () => {
  mongo = await startMongo();
  const database = freshDatabase();
  open = await startRuncashProcess(mongo.uri, database);
  for (const numero of [32, 0, 17]) await post(A, 'Roulette', numero);
  await post(B, 'Lightning', 5);
  closed = await startRuncashProcess(mongo.uri, database, { AUTH: 'jwt', JWT_SECRET: SECRET });
});
afterAll(async () => {
  await Promise.all([open.end(), closed.end()]);
  await mongo.stop();
});

let posted = 0;
async function post(roleta_id: string, roleta_nome: string, numero: number): Promise<void> {
  posted += 1;
  const answer = await fetch(`${open.url}/api/v1/numbers`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ roleta_id, roleta_nome, numero, timestamp: Date.now() - 60_000 + posted }),
  });
  expect(answer.status).toBe(201);
}

const tokenFor = (tables: readonly string[]): Promise<string> =>
  new SignJWT({ tables }).setProtectedHeader({ alg: 'HS256' }).setExpirationTime('5m').sign(Buffer.from(SECRET));

const ROULETTE = {
  id: A,
  nome: 'Roulette',
  provider: '',
  status: 'online',
  numeros: expect.arrayContaining([0]),
  ultimoNumero: expect.any(Number),
  timestamp: expect.stringMatching(/Z$/),
};

/** The events of a stream, one after the other, without comments and retry times. */
async function* eventsOf(response: Response): AsyncGenerator<{ name: string; data: { type: string; data: unknown } }> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const [, name = '', data = ''] = /^event: (.+)\ndata: (.+)$/.exec(block) ?? [];
      if (name !== '') yield { name, data: JSON.parse(data) };
    }
  }
}

describe('the stream of roulettes', () => {
  it('greets, sends every table at once, and then each that changes', async () => {
    const ending = new AbortController();
    const response = await fetch(open.url + STREAM, { signal: ending.signal });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const events = eventsOf(response);
    expect((await events.next()).value).toEqual({ name: 'connected', data: { message: expect.any(String) } });
    const { value: all } = await events.next();
    expect(all).toMatchObject({ name: 'update', data: { type: 'all_roulettes_update' } });
    expect(all?.data.data).toEqual([
      { ...ROULETTE, numeros: [17, 0, 32], ultimoNumero: 17 },
      { ...ROULETTE, id: B, nome: 'Lightning', provider: 'evolution', numeros: [5], ultimoNumero: 5 },
    ]);
    await post(A, 'Roulette', 0);
    const { value: one } = await events.next();
    expect(one?.data).toEqual({
      type: 'single_roulette_update',
      data: { ...ROULETTE, numeros: [0, 17, 0, 32], ultimoNumero: 0 },
    });
    ending.abort();
  });

  it('is one answer of JSON with nostream', async () => {
    const response = await fetch(`${open.url}${STREAM}?nostream=true`);
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(await response.json()).toMatchObject({ type: 'all_roulettes_update', data: [{ id: A }, { id: B }] });
  });

  it('shows what the token may see, and asks for one', async () => {
    expect((await fetch(closed.url + STREAM)).status).toBe(401);
    const token = await tokenFor([B]);
    const only = await (await fetch(`${closed.url}${STREAM}?nostream=true&token=${token}`)).json();
    expect(only).toMatchObject({ data: [{ id: B }] });
    const ending = new AbortController();
    const events = eventsOf(await fetch(`${closed.url}${STREAM}?token=${token}`, { signal: ending.signal }));
    await events.next();
    expect((await events.next()).value?.data.data).toMatchObject([{ id: B }]);
    await post(A, 'Roulette', 1);
    await post(B, 'Lightning', 36);
    expect((await events.next()).value?.data.data).toMatchObject({ id: B, numeros: [36, 5] });
    ending.abort();
  });

  it('takes GET alone', async () => {
    const answer = await fetch(open.url + STREAM, { method: 'POST' });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, expect.stringContaining('GET')]);
  });
});

describe('a status of the service', () => {
  it('makes the whole of every table once for all readers, and again for the next', async () => {
    let made = 0;
    const table = tableId(A);
    const source = {
      resolve: () => [table],
      tables: () => [tableDetail(table)],
      table: () => tableDetail(table, `${++made}`),
    };
    const { gateway, url } = await startTestGateway({}, { transports: [serveRouletteStream(source)] });
    const streams = await Promise.all(
      [1, 2, 3].map(async () => {
        const events = eventsOf(await fetch(`http://${url}${STREAM}`));
        await events.next();
        await events.next();
        return events;
      }),
    );
    for (const expected of [made + 1, made + 2]) {
      const since = '2026-11-24T13:00:00.000Z';
      gateway.publish(EVERYONE, frameOf({ type: 'status', feed: 'stale', since }));
      for (const events of streams) {
        expect((await events.next()).value?.data.data).toMatchObject([{ nome: `${expected}` }]);
      }
    }
    await gateway.stop();
  });
});

describe('the history of all roulettes', () => {
  it('has the last 200 numbers of each', async () => {
    for (let numero = 0; numero < 210; numero++) await post('2010033', 'Long', numero % 37);
    const newestFirst = Array.from({ length: 200 }, (_, at) => (209 - at) % 37);
    await expect
      .poll(async (): Promise<unknown> => (await fetch(`${open.url}/api/historical/all-roulettes`)).json(), {
        timeout: 15_000,
      })
      .toMatchObject({ success: true, data: [{ id: '2010033', numeros: newestFirst }, { id: A }, { id: B }] });
  });

  it('shows what the token may see', async () => {
    const address = `${closed.url}/api/historical/all-roulettes`;
    expect((await fetch(address)).status).toBe(401);
    const answer = await fetch(address, { headers: { authorization: `Bearer ${await tokenFor([B])}` } });
    expect(await answer.json()).toMatchObject({ data: [{ id: B }] });
  });
});
