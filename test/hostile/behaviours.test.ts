import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { attack, frameBytes, nextAttacker, rawConnect, rawWebsocket, request, UPGRADE } from './raw.ts';
import { OWN, startTarget, startWitnesses, type Target, type Witnesses } from './target.ts';

/**
 * Each test is one client that breaks a rule: what it gets, while 200 clients that keep the rules miss nothing.
 */
describe('beside 200 clients that miss nothing, a client', () => {
  let target: Target;
  let witnesses: Witnesses;

  beforeAll(async () => {
    target = await startTarget();
    witnesses = await startWitnesses(target);
  });
  afterAll(async () => {
    await witnesses.stop();
    await target.stop();
  });
  beforeEach(() => witnesses.begin());
  afterEach(async () => {
    target.alive();
    const { holes, repeats, closed } = await witnesses.seen();
    expect({ holes, repeats, closed }).toEqual({ holes: 0, repeats: 0, closed: 0 });
  });

  const ask = async (...lines: string[]): Promise<string> => {
    const raw = rawConnect(target);
    raw.socket.write(request(...lines));
    const text = await raw.until(/\r\n\r\n/);
    raw.socket.destroy();
    return text;
  };
  const host = (): string => `Host: ${target.url}`;
  const upgradeWith = (...lines: string[]): Promise<string> => ask(...UPGRADE(target.url), ...lines);
  const subscribe = (id: number, ...topics: string[]): string => JSON.stringify({ type: 'subscribe', id, topics });

  describe.concurrent('that says too little', () => {
    it('connects and is silent: closed within a quarter of a minute', async () => {
      const started = performance.now();
      await rawConnect(target).ended;
      expect(performance.now() - started).toBeLessThan(16_000);
    });

    it('trickles a header: closed although a byte comes every second', async () => {
      const raw = rawConnect(target);
      raw.socket.write('GET /ws HTTP/1.1\r\nX-Slow: ');
      const trickle = setInterval(() => raw.socket.write('a'), 1000);
      const text = await raw.ended;
      clearInterval(trickle);
      expect(text).toMatch(/^(?:HTTP\/1\.1 408 |$)/);
    });

    it('trickles a body: closed', async () => {
      const raw = rawConnect(target);
      raw.socket.write(
        request('POST /api/v1/numbers HTTP/1.1', host(), 'Content-Type: application/json', 'Content-Length: 1000'),
      );
      const trickle = setInterval(() => raw.socket.write(' '), 1000);
      const text = await raw.ended;
      clearInterval(trickle);
      expect(text).toMatch(/^(HTTP\/1.1 (401|408) .*)?/s);
    });

    it('upgrades and says nothing: 4104 after twelve seconds', async () => {
      const { closed } = attack(target);
      expect(await closed).toBe(4104);
    });

    it('sends one frame byte by byte, one per half second: closed like silence, since no frame ever comes', async () => {
      const raw = await rawWebsocket(target);
      const bytes = frameBytes(subscribe(1, 'roulette:*').padEnd(120, ' '));
      let at = 0;
      const trickle = setInterval(() => raw.socket.write(bytes.subarray(at, ++at)), 500);
      const text = await raw.ended;
      clearInterval(trickle);
      expect(text).toMatch(/silent/);
    });

    it('goes to sleep and answers no ping: closed after ping and 16 seconds', async () => {
      const raw = await rawWebsocket(target);
      raw.socket.write(frameBytes('{"type":"ping","id":1}'));
      await raw.until(/"pong"/);
      const started = performance.now();
      await raw.ended;
      expect(performance.now() - started).toBeLessThan(60_000);
    });
  });

  describe('that speaks bad HTTP', () => {
    it('sends 5 KB of headers: 431', async () => {
      expect(await upgradeWith(`X-Junk: ${'x'.repeat(5_000)}`)).toMatch(/^HTTP\/1.1 431 /);
      expect(await ask('GET /healthz HTTP/1.1', host(), `X-Junk: ${'x'.repeat(10_000)}`)).toMatch(/^HTTP\/1.1 431 /);
    });

    it('sends content-length and transfer-encoding together: 400', async () => {
      const text = await ask(
        'POST /api/v1/numbers HTTP/1.1',
        host(),
        'Content-Length: 3',
        'Transfer-Encoding: chunked',
      );
      expect(text).toMatch(/^HTTP\/1.1 400 /);
    });

    it('announces a huge body: refused before any of it is read', async () => {
      const text = await ask(
        'POST /api/v1/numbers HTTP/1.1',
        host(),
        'Content-Type: application/json',
        'Content-Length: 1000000000',
      );
      expect(text).toMatch(/^HTTP\/1.1 (401|413) /);
    });

    it.each(['{', '{"roleta_id":', '['.repeat(3000), '{"__proto__":{"numero":1}}'])(
      'posts %.20s: 4xx, nothing else',
      async (body) => {
        const length = Buffer.byteLength(body);
        const raw = rawConnect(target, '127.0.0.1');
        raw.socket.write(
          request(
            'POST /api/v1/numbers HTTP/1.1',
            host(),
            'Content-Type: application/json',
            `Content-Length: ${length}`,
          ) + body,
        );
        expect(await raw.until(/\r\n\r\n/)).toMatch(/^HTTP\/1.1 4\d\d /);
        raw.socket.destroy();
      },
    );

    it.runIf(OWN)('names a wrong Host twice, or speaks HTTP/1.0, or garbage: refused', async () => {
      expect(await upgradeWith('Host: evil.example')).toMatch(/^HTTP\/1.1 400 /);
      expect(await ask('GET /ws HTTP/1.0', host())).toMatch(/^HTTP\/1.1 505 /);
      const raw = rawConnect(target);
      raw.socket.write('\u0000\u0001\u0002\r\n\r\n');
      expect(await raw.ended).not.toMatch(/^HTTP\/1.1 (1|2)/);
    });

    it('asks for WebSocket version 99: 426', async () => {
      const lines = UPGRADE(target.url).filter((line) => !line.startsWith('Sec-WebSocket-Version'));
      expect(await ask(...lines, 'Sec-WebSocket-Version: 99')).toMatch(/^HTTP\/1.1 426 /);
    });

    it('comes from the origin null: 403', async () => {
      expect(await upgradeWith('Origin: null')).toMatch(/^HTTP\/1.1 403 /);
    });

    it('sends an event stream where it should read one, and half a request: nothing happens', async () => {
      const raw = rawConnect(target);
      raw.socket.write('GET /events?topics=roulette:');
      raw.socket.end();
      await raw.ended;
    });
  });

  describe('that speaks bad WebSocket', () => {
    it.each([
      ['invalid UTF-8', frameBytes(Buffer.from([0x22, 0xc3, 0x28, 0x22]))],
      ['a reserved opcode', frameBytes('{}', { opcode: 3 })],
      ['a reserved bit, as a compressed frame has', frameBytes('{}', { rsv: 4 })],
      ['a fragmented ping', frameBytes('x', { opcode: 9, fin: false })],
      ['a continuation of nothing', frameBytes('{}', { opcode: 0 })],
      ['a frame that announces a megabyte', frameBytes('x', { length: 1_000_000 })],
      ['a frame that announces 2^62 bytes', frameBytes('x', { length: 2 ** 62 })],
    ])('sends %s: closed', async (_, bytes) => {
      const raw = await rawWebsocket(target);
      raw.socket.write(bytes);
      await raw.ended;
    });

    it('sends fragments without end: closed at the frame limit', async () => {
      const raw = await rawWebsocket(target);
      raw.socket.write(frameBytes('x', { fin: false }));
      const more = setInterval(() => raw.socket.write(frameBytes('x'.repeat(500), { opcode: 0, fin: false })), 5);
      await raw.ended;
      clearInterval(more);
    });

    it('offers compression: it is not negotiated', async () => {
      const text = await upgradeWith('Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits');
      expect(text).toMatch(/^HTTP\/1.1 101 /);
      expect(text).not.toMatch(/permessage-deflate/i);
    });

    it('sends a binary frame: 4000', async () => {
      const { socket, opened, closed } = attack(target);
      await opened;
      socket.send(Buffer.from([1, 2, 3]));
      expect(await closed).toBe(4000);
    });
  });

  describe('that asks for too much', () => {
    it.each([
      ['pings of the protocol', '{"type":"ping","id":1}'],
      ['commands', '{"type":"unsubscribe","id":1,"topics":["roulette:2010165"]}'],
    ])('floods with %s: 4103', async (_, frame) => {
      const { socket, opened, closed } = attack(target);
      await opened;
      for (let sent = 0; sent < 200; sent += 1) socket.send(frame);
      expect(await closed).toBe(4103);
    });

    it('floods with pings of WebSocket: 4103', async () => {
      const { socket, opened, closed } = attack(target);
      await opened;
      for (let sent = 0; sent < 200; sent += 1) socket.ping();
      expect(await closed).toBe(4103);
    });

    it('floods and never reads: closed', async () => {
      const raw = await rawWebsocket(target);
      raw.socket.pause();
      const ping = frameBytes('{"type":"ping","id":1}');
      const flood = setInterval(() => raw.socket.write(Buffer.concat(new Array<Buffer>(200).fill(ping))), 5);
      await new Promise((resolve) => raw.socket.once('error', resolve).once('close', resolve).resume());
      clearInterval(flood);
    });

    it('makes error after error: 4009', async () => {
      const { socket, opened, closed } = attack(target);
      await opened;
      for (let sent = 0; sent < 20; sent += 1) socket.send('nonsense');
      expect(await closed).toBe(4009);
    });

    it('names 100,000 topics that do not exist: errors and the end of the conversation, no state', async () => {
      const before = await target.inside?.counters();
      let named = 0;
      while (named < 100_000) {
        const { socket, opened, closed } = attack(target);
        await opened;
        for (let sent = 0; sent < 40; sent += 1) {
          socket.send(subscribe(sent, ...Array.from({ length: 80 }, () => `roulette:no such ${named++}`)));
        }
        expect([4009, 4103]).toContain(await closed);
      }
      const after = await target.inside?.counters();
      expect((after?.rssBytes ?? 0) - (before?.rssBytes ?? 0)).toBeLessThan(64e6);
    });

    it('takes more topics than one connection may hold: an error', async () => {
      let answer = '';
      const { socket, opened } = attack(target, nextAttacker(), (text) => {
        if (text.includes('"error"')) answer = text;
      });
      await opened;
      socket.send(subscribe(1, ...Array.from({ length: 101 }, (_, at) => `roulette:${3_000_000 + at}`)));
      await expect.poll(() => answer).toMatch(/"too_many_topics"/);
      socket.terminate();
    });

    it('subscribes and unsubscribes in circles for the snapshots: 4103', async () => {
      const { socket, opened, closed } = attack(target);
      await opened;
      for (let id = 0; id < 60; id += 1) {
        socket.send(JSON.stringify({ type: 'subscribe', id, topics: ['roulette:2010165'], history: 200 }));
        socket.send(JSON.stringify({ type: 'unsubscribe', id, topics: ['roulette:2010165'] }));
      }
      expect(await closed).toBe(4103);
    });

    it('asks for replays of everything over and over: 4103', async () => {
      const { socket, opened, closed } = attack(target);
      await opened;
      const frame = JSON.stringify({
        type: 'subscribe',
        id: 1,
        topics: ['roulette:*'],
        after: '0000000000000000000000',
      });
      for (let id = 0; id < 60; id += 1) socket.send(frame);
      expect(await closed).toBe(4103);
    });

    it.each(['f'.repeat(22), 'zzzz', '-1', ' '.repeat(1000), '0x', '💣'])(
      'forges the position %.10s: a snapshot and a reason, or is held and sent away',
      async (after) => {
        const seen: string[] = [];
        const { socket, opened } = attack(target, nextAttacker(), (text) => seen.push(text));
        await opened;
        socket.send(JSON.stringify({ type: 'subscribe', id: 1, topics: ['roulette:2010165'], after, epoch: 'e1' }));
        await expect.poll(() => seen.join(), { timeout: 10_000 }).toMatch(/"subscribed".*"recovered":false|"bye"/s);
        socket.terminate();
      },
    );

    it.runIf(OWN)('opens 700 connections from one address: the cap, and 429, 503 or a cut beyond it', async () => {
      const address = nextAttacker();
      const all = Array.from({ length: 700 }, () => attack(target, address));
      const opened = await Promise.all(all.map((one) => one.opened));
      const held = opened.filter(Boolean).length;
      expect(held).toBeGreaterThan(400);
      expect(held).toBeLessThanOrEqual(500);
      const refused = await Promise.all(all.filter((_, at) => opened[at] !== true).map((one) => one.closed));
      // 1006: cut before it asked, since its address holds as many connections as it may.
      for (const status of refused) expect([429, 503, 1006]).toContain(status);
      for (const { socket } of all) socket.terminate();
    });

    it.runIf(OWN)('parks polls by the hundred: 429 beyond the cap', async () => {
      const address = nextAttacker();
      const first = rawConnect(target, address);
      first.socket.write(request('GET /poll?topics=roulette:2019999&wait=0 HTTP/1.1', host()));
      const next = /"next":"([^"]+)"/.exec(await first.until(/"next":"[^"]+"/))?.[1];
      const polls = Array.from({ length: 120 }, () => {
        const raw = rawConnect(target, address);
        raw.socket.write(request(`GET /poll?topics=roulette:2019999&after=${next}&wait=25 HTTP/1.1`, host()));
        return raw;
      });
      await expect.poll(() => polls.filter((poll) => poll.text().startsWith('HTTP/1.1 429')).length).toBeGreaterThan(0);
      for (const { socket } of polls) socket.destroy();
    });

    it.runIf(OWN)('connects and goes away without end: 503 with Retry-After before the upgrade', async () => {
      const address = nextAttacker();
      let refused = '';
      while (refused === '') {
        await Promise.all(
          Array.from({ length: 50 }, async () => {
            const raw = rawConnect(target, address);
            raw.socket.write(request(...UPGRADE(target.url)));
            const text = await raw.until(/\r\n\r\n/);
            if (!text.startsWith('HTTP/1.1 101')) refused = text;
            raw.socket.destroy();
          }),
        );
      }
      expect(refused).toMatch(/^HTTP\/1.1 503 .*\r\nRetry-After: \d+\r\n/s);
    });
  });

  describe.runIf(OWN)('that reads nothing while much is sent', () => {
    const closes = async (): Promise<number> => (await target.inside?.counters())?.counters.closes[4100] ?? 0;

    it('stalls a WebSocket: closed at the backlog cap', async () => {
      const before = await closes();
      const raw = await rawWebsocket(target);
      raw.socket.write(frameBytes(subscribe(1, 'roulette:2010033')));
      await raw.until(/"subscribed"/);
      raw.socket.pause();
      await target.inside?.pour(20);
      await expect.poll(closes, { timeout: 30_000, interval: 100 }).toBe(before + 1);
      await target.inside?.pour(0);
      raw.socket.destroy();
    });

    it('stalls an event stream: closed too', async () => {
      const before = await closes();
      const raw = rawConnect(target);
      raw.socket.write(request('GET /events?topics=roulette:2010033 HTTP/1.1', host()));
      await raw.until(/event: subscribed/);
      raw.socket.pause();
      await target.inside?.pour(20);
      await expect.poll(closes, { timeout: 30_000, interval: 100 }).toBe(before + 1);
      await target.inside?.pour(0);
      raw.socket.destroy();
    });
  });

  it.runIf(OWN)('has witnesses who really hear something', async () => {
    await expect.poll(async () => (await witnesses.seen()).events).toBeGreaterThan(200);
  });

  it.runIf(OWN)('leaves no exception behind in the server, whatever it did', async () => {
    expect((await target.inside?.counters())?.counters.failures).toBe(0);
  });
});
