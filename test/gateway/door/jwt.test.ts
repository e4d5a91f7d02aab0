import { SignJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { secretKey } from '../../../src/gateway/door/jwt-keys.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { connectWebsocket, type WebsocketClient } from '../../support/inbox.ts';
import { subscribe, TRANSPORTS } from '../../support/subscribers.ts';

const SECRET = 'a secret of more than thirty-two bytes';
const A = '2010165';
const B = '2010097';
const AUTH = { mode: 'jwt', keys: [secretKey(null, SECRET)], jwksUrl: null, issuer: null, audience: null } as const;

const jwt = (claims: Record<string, unknown> = {}, expiresIn = 60): Promise<string> =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(Math.floor(Date.now() / 1000) + expiresIn)
    .sign(new TextEncoder().encode(SECRET));

describe('a gateway that asks for tokens', () => {
  let running: TestGateway;
  let open: WebsocketClient[];

  const connect = async (options?: Parameters<typeof connectWebsocket>[1]): Promise<WebsocketClient> => {
    const client = await connectWebsocket(running.url, options);
    open.push(client);
    return client;
  };
  const subscribeA = { type: 'subscribe', id: 1, topics: [`roulette:${A}`] };

  beforeEach(async () => {
    open = [];
    running = await startTestGateway({
      auth: AUTH,
      authDeadlineMs: 5_000,
      authGraceMs: 30_000,
    });
  });
  afterEach(async () => {
    for (const { socket } of open) socket.terminate();
    await running.gateway.stop();
  });

  it('says so in hello and takes the token in the first frame', async () => {
    const client = await connect();
    expect(await client.next('hello')).toMatchObject({ auth: 'jwt' });
    client.send({ type: 'auth', token: await jwt() });
    client.send(subscribeA);
    expect(await client.next('authenticated')).toMatchObject({ expires: expect.stringMatching(/Z$/) });
    await client.next('subscribed');
  });

  it('answers commands before auth with an error, and closes 4004 after five seconds', async () => {
    const client = await connect();
    client.send(subscribeA);
    expect(await client.next('error')).toMatchObject({ id: 1, code: 'unauthorized' });
    expect(running.feed.subscribers()).toBe(0);
    running.passSeconds(5.1);
    expect((await client.closed).code).toBe(4004);
  });

  it('closes 4004 at once on a bad token', async () => {
    const client = await connect();
    client.send({ type: 'auth', id: 7, token: 'bad' });
    expect(await client.next('error')).toMatchObject({ id: 7, code: 'unauthorized', retry: 'never' });
    expect((await client.closed).code).toBe(4004);
  });

  it('takes the token from the subprotocol, which it then confirms, as browsers demand', async () => {
    const token = await jwt();
    const alone = await connect({ protocols: [`bearer.${token}`] });
    expect(alone.socket.protocol).toBe(`bearer.${token}`);
    const both = await connect({ protocols: ['runcash.v1', `bearer.${token}`] });
    expect(both.socket.protocol).toBe('runcash.v1');
    for (const client of [alone, both]) {
      client.send(subscribeA);
      await client.next('subscribed');
    }
  });

  it('takes the token from the Authorization header and from ?token=', async () => {
    const token = await jwt();
    for (const options of [{ headers: { authorization: `Bearer ${token}` } }, { path: `/ws?token=${token}` }]) {
      const client = await connect(options);
      client.send(subscribeA);
      await client.next('subscribed');
    }
  });

  it('logs no token, whatever came with it', async () => {
    const bad = await connect({ path: '/ws?token=tell-nobody' });
    await bad.closed;
    const answer = await fetch(`http://${running.url}/events?topics=roulette:${A}&token=tell-nobody`);
    expect(answer.status).toBe(401);
    expect(running.lines.join('\n')).toContain('token_refused');
    expect(running.lines.join('\n')).not.toContain('tell-nobody');
  });

  describe.each(TRANSPORTS)('over %s', (transport) => {
    it('limits the topics to the tables of the claim', async () => {
      const token = await jwt({ tables: [A] });
      const other = await subscribe(transport, running.url, { topics: [`roulette:${B}`], token });
      expect(await other.next('error')).toMatchObject({ code: 'unknown_topic' });
      const star = await subscribe(transport, running.url, { topics: ['roulette:*'], token });
      await star.next('subscribed');
      while (running.feed.subscribers() === 0) await new Promise(setImmediate);
      running.feed.spin(B, 1);
      running.feed.spin(A, 2);
      expect(await star.next('new_number')).toMatchObject({ numero: 2 });
      star.stop();
      other.stop();
    });

    it('refuses a bad token', async () => {
      const client = await subscribe(transport, running.url, { topics: [`roulette:${A}`], token: 'bad' });
      expect(await client.next('error')).toMatchObject({ code: 'unauthorized' });
      await client.over;
    });
  });

  it('answers 401 without a token over HTTP', async () => {
    for (const path of ['events', 'poll']) {
      const answer = await fetch(`http://${running.url}/${path}?topics=roulette:${A}`);
      expect(answer.status).toBe(401);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="runcash-live"');
    }
  });

  it('warns when the token expires, waits for a new one, and closes 4105 without it', async () => {
    const client = await connect({ headers: { authorization: `Bearer ${await jwt({}, 60)}` } });
    client.send(subscribeA);
    await client.next('subscribed');
    running.passSeconds(61);
    expect(await client.next('error')).toMatchObject({
      code: 'unauthorized',
      message: expect.stringMatching(/expired/),
    });
    running.passSeconds(31);
    expect(await client.next('bye')).toMatchObject({ code: 4105 });
    expect((await client.closed).code).toBe(4105);
  });

  it('is extended by a new token, also in the grace time', async () => {
    const client = await connect({ headers: { authorization: `Bearer ${await jwt({}, 60)}` } });
    client.send(subscribeA);
    await client.next('subscribed');
    running.passSeconds(61);
    await client.next('error');
    client.send({ type: 'auth', id: 2, token: await jwt({}, 600) });
    await client.next('authenticated');
    running.passSeconds(120);
    running.feed.spin(A, 3);
    expect(await client.next('new_number')).toMatchObject({ numero: 3 });
    client.send({ type: 'ping', id: 1 });
    await client.next('pong');
  });

  it('is not extended by a bad token, and keeps the old one', async () => {
    const client = await connect({ headers: { authorization: `Bearer ${await jwt({ tables: [A] })}` } });
    client.send(subscribeA);
    await client.next('subscribed');
    client.send({ type: 'auth', id: 3, token: 'bad' });
    expect(await client.next('error')).toMatchObject({ id: 3, code: 'unauthorized' });
    running.feed.spin(A, 3);
    expect(await client.next('new_number')).toMatchObject({ numero: 3 });
  });

  it.each([
    ['fewer', [A], [A, B]],
    ['none', [], [A]],
    ['other', [B], [A]],
    ['more', undefined, [A]],
    ['not all any more', [A], undefined],
  ])(
    'is sent to come back by a token for %s tables, and hears nothing more of the old ones',
    async (_, tables, before) => {
      const client = await connect({
        headers: { authorization: `Bearer ${await jwt(before === undefined ? {} : { tables: before })}` },
      });
      client.send({ type: 'subscribe', id: 1, topics: ['roulette:*'] });
      await client.next('subscribed');
      client.send({ type: 'auth', id: 2, token: await jwt(tables === undefined ? {} : { tables }) });
      expect(await client.next('bye')).toMatchObject({ code: 4202 });
      running.feed.spin(A, 3);
      expect((await client.closed).code).toBe(4202);
      expect(client.all.filter(({ type }) => type === 'new_number')).toEqual([]);
    },
  );

  it('shows a poll nothing of a table that its token names no more, whatever position it brings', async () => {
    const wide = await jwt({ tables: [A, B] });
    const ask = (token: string, after = '') =>
      fetch(`http://${running.url}/poll?topics=roulette:${A},roulette:${B}&wait=0${after}`, {
        headers: { authorization: `Bearer ${token}` },
      });
    const { next } = JSON.parse(await (await ask(wide)).text());
    running.feed.spin(B, 7);
    const narrow = await ask(await jwt({ tables: [A] }), `&after=${next}`);
    expect(narrow.status).toBeGreaterThanOrEqual(400);
    expect(await narrow.text()).not.toContain('"numero"');
    const star = await fetch(`http://${running.url}/poll?topics=roulette:*&wait=0&after=${next}`, {
      headers: { authorization: `Bearer ${await jwt({ tables: [A] })}` },
    });
    expect(await star.text()).not.toContain(B);
  });

  it('ends an event stream whose token expired', async () => {
    const stream = await subscribe('sse', running.url, { topics: [`roulette:${A}`], token: await jwt({}, 60) });
    await stream.next('subscribed');
    running.passSeconds(91);
    expect(await stream.next('bye')).toMatchObject({ code: 4105 });
    await stream.over;
  });
});
