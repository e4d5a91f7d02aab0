import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { OPEN_GRANT } from '../../../src/gateway/door/access.ts';
import { ProtocolError } from '../../../src/protocol/errors.ts';
import type { NumberItem } from '../../../src/protocol/messages.ts';
import { statsOf } from '../../../src/roulette/stats.ts';
import { granting, type HttpApp, startHttpApp } from '../../support/http-app.ts';
import { fakeHistory, WHOLE_HISTORY } from '../../support/http-deps.ts';

const started: HttpApp[] = [];
afterEach(() => {
  for (const app of started.splice(0)) app.stop();
});

const start: typeof startHttpApp = async (options, overrides) => {
  const app = await startHttpApp(options, overrides);
  started.push(app);
  return app;
};

const get = async (app: HttpApp, path: string) => {
  const response = await fetch(app.url + path);
  const answer: unknown = await response.json();
  return { status: response.status, answer, headers: response.headers };
};

const NUMBERS = '/api/v1/tables/2010017/numbers';
const stream = (app: HttpApp, accept: string, path = NUMBERS) => fetch(app.url + path, { headers: { accept } });

/** A number whose text is long, so that few of them fill every buffer. */
const bulky = (n: number): NumberItem => ({
  id: `${n}-${'x'.repeat(1000)}`,
  numero: n % 37,
  cor: 'preto',
  timestamp: '2026-11-24T13:00:00.000Z',
});

describe('GET /api/v1/tables/:id/numbers', () => {
  it('pages by an opaque cursor', async () => {
    const asked: unknown[] = [];
    const numbers: HttpApp['deps']['numbers'] = {
      ...fakeHistory([]),
      page: async (...parameters) => {
        asked.push(parameters);
        return { items: [], next: null };
      },
    };
    const app = await start({}, { numbers });
    expect((await get(app, '/api/v1/tables/2010017/numbers')).answer).toEqual({
      roleta_id: '2010017',
      roleta_nome: 'Ruleta Automática',
      numeros: [],
      next: null,
    });
    await get(app, '/api/v1/tables/2010017/numbers?limit=10000&before=a%2Bb%3D');
    await get(app, '/api/v1/tables/2010017/numbers?since=2026-11-24T13:00:00%2B01:00&until=1780000000');
    expect(asked).toEqual([
      ['2010017', 20, WHOLE_HISTORY],
      ['2010017', 10_000, { ...WHOLE_HISTORY, before: 'a+b=' }],
      ['2010017', 20, { sinceMs: Date.UTC(2026, 10, 24, 12), untilMs: 1_780_000_000_000, before: null }],
    ]);
  });

  it('gives the cursor of the next page', async () => {
    const app = await start();
    expect((await get(app, '/api/v1/tables/2010017/numbers?limit=1')).answer).toMatchObject({
      numeros: [{ numero: 0 }],
      next: 'c1',
    });
  });

  it.each(['0', '10001', '-1', '1.5', 'ten', '1e2', ' 5', '99999999999'])('refuses limit=%s', async (limit) => {
    const app = await start();
    const { status, answer } = await get(app, `/api/v1/tables/2010017/numbers?limit=${limit}`);
    expect(status).toBe(400);
    expect(answer).toMatchObject({ problems: [{ path: 'limit' }] });
  });

  it('refuses a cursor that is far too long before it asks the database', async () => {
    const app = await start();
    const { status, answer } = await get(app, `/api/v1/tables/2010017/numbers?before=${'x'.repeat(2001)}`);
    expect([status, Object(answer).problems[0].path]).toEqual([400, 'before']);
  });

  it('passes on what the database says: a bad cursor 400, no database 503', async () => {
    const answers = [
      new ProtocolError('invalid', { problems: [{ path: 'before', message: 'is no cursor of this service' }] }),
      new ProtocolError('database_unavailable', { retryMs: 3000 }),
    ];
    const page = async () => {
      throw answers.shift();
    };
    const app = await start({}, { numbers: { ...fakeHistory([]), page } });
    expect((await get(app, '/api/v1/tables/2010017/numbers?before=x')).status).toBe(400);
    const down = await get(app, '/api/v1/tables/2010017/numbers');
    expect([down.status, down.headers.get('retry-after')]).toEqual([503, '3']);
  });

  it('answers 429 when too many reads wait for the database', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    let called = (): void => undefined;
    const begun = new Promise<void>((resolve) => {
      called = resolve;
    });
    const page = async () => {
      called();
      await held;
      return { items: [], next: null };
    };
    const app = await start({ maxPendingReads: 1 }, { numbers: { ...fakeHistory([]), page } });
    const first = get(app, '/api/v1/tables/2010017/numbers');
    await begun;
    expect((await get(app, '/api/v1/tables/2010017/numbers')).answer).toMatchObject({ code: 'rate_limited' });
    release();
    expect((await first).status).toBe(200);
  });

  it.each(['since=yesterday', 'until=2026-13-01', 'since=5', 'until=%00'])('refuses %s', async (query) => {
    const app = await start();
    const { status, answer } = await get(app, `${NUMBERS}?${query}`);
    expect(status).toBe(400);
    expect(answer).toMatchObject({ problems: [{ path: query.split('=')[0] }] });
  });
});

describe('a history as a stream', () => {
  it('is a line of JSON for each number, where Accept names that', async () => {
    const app = await start();
    const response = await stream(app, 'application/x-ndjson');
    expect(response.headers.get('content-type')).toBe('application/x-ndjson');
    const lines = (await response.text()).trimEnd().split('\n');
    expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([
      { roleta_id: '2010017', roleta_nome: 'Ruleta Automática', id: 'n3', numero: 0 },
      { id: 'n2', numero: 17 },
      { id: 'n1', suspeito: true },
    ]);
  });

  it('is a table with a head, where Accept names text/csv', async () => {
    const app = await start();
    const response = await stream(app, 'text/csv');
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8');
    expect(response.headers.get('content-disposition')).toBe('attachment; filename="2010017-numbers.csv"');
    expect(await response.text()).toBe(
      'roleta_id,roleta_nome,id,numero,rotulo,cor,timestamp,suspeito\r\n' +
        '2010017,Ruleta Automática,n3,0,,verde,2026-11-24T13:02:00.000Z,\r\n' +
        '2010017,Ruleta Automática,n2,17,,preto,2026-11-24T13:01:00.000Z,\r\n' +
        '2010017,Ruleta Automática,n1,17,,preto,2026-11-24T13:00:00.000Z,true\r\n',
    );
  });

  it('has the strategies in the same forms, with a trigger of -1 as a number', async () => {
    const app = await start();
    const text = await (await stream(app, 'text/csv', '/api/v1/tables/2010017/strategies')).text();
    expect(text.split('\r\n')[1]).toBe(
      '2010017,Ruleta Automática,s1,2026-11-24T13:00:00.000Z,TRIGGER,-1,4 7,2,1,"APOSTAR EM: 4,7"',
    );
  });

  it.each([
    ['=1+1', "'=1+1"],
    ['+1', "'+1"],
    ['-1', "'-1"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['\t=1', "'\t=1"],
    ['＝1', "'＝1"],
    ['=HYPERLINK("http://x","y")', `"'=HYPERLINK(""http://x"",""y"")"`],
    ['a"b', '"a""b"'],
    ['two\nlines', '"two\nlines"'],
    ['plain = text', 'plain = text'],
  ])('gives no formula to a spreadsheet: %j', async (id, cell) => {
    const numbers = fakeHistory<NumberItem>([{ ...bulky(1), id }]);
    const text = await (await stream(await start({}, { numbers }), 'text/csv')).text();
    expect(text.slice(text.indexOf('\r\n') + 2).startsWith(`2010017,Ruleta Automática,${cell},1,`)).toBe(true);
  });

  it('of nothing is empty, but for the head', async () => {
    const app = await start({}, { numbers: fakeHistory<NumberItem>([]) });
    expect(await (await stream(app, 'application/x-ndjson')).text()).toBe('');
    expect(await (await stream(app, 'text/csv')).text()).toMatch(/^roleta_id,.*suspeito\r\n$/);
  });

  it('ends after `limit` rows', async () => {
    const app = await start();
    const text = await (await stream(app, 'application/x-ndjson', `${NUMBERS}?limit=2`)).text();
    expect(text.trimEnd().split('\n')).toHaveLength(2);
    expect((await stream(app, 'text/csv', `${NUMBERS}?limit=10001`)).status).toBe(400);
  });

  it('that cannot begin is an error in words, and one that breaks off is no complete answer', async () => {
    const down = new ProtocolError('database_unavailable', { retryMs: 3000 });
    const breaking = (after: number) => ({
      ...fakeHistory<NumberItem>([]),
      async *stream() {
        for (let n = 0; n < after; n++) yield [bulky(n)];
        throw down;
      },
    });
    const dead = await stream(await start({}, { numbers: breaking(0) }), 'text/csv');
    expect([dead.status, dead.headers.get('retry-after')]).toEqual([503, '3']);
    expect(await dead.json()).toMatchObject({ code: 'database_unavailable' });
    const app = await start({}, { numbers: breaking(3) });
    const cut = await stream(app, 'text/csv');
    expect(cut.status).toBe(200);
    await expect(cut.text()).rejects.toThrow();
    expect(app.deps.lines.map(({ event }) => event)).toEqual(['request_failed']);
  });

  it('is cut when its token is revoked or expires', async () => {
    let isRevoked = false;
    const numbers = {
      ...fakeHistory<NumberItem>([]),
      async *stream() {
        yield [bulky(0)];
        yield [bulky(1)];
        isRevoked = true;
        yield [bulky(2)];
      },
    };
    const recheck = (): void => {
      if (isRevoked) throw new ProtocolError('unauthorized');
    };
    const app = await startHttpApp({}, { numbers }, granting(OPEN_GRANT, recheck));
    started.push(app);
    const cut = await stream(app, 'application/x-ndjson', `${NUMBERS}?token=x`);
    expect(cut.status).toBe(200);
    await expect(cut.text()).rejects.toThrow();
    expect(app.deps.lines).toEqual([]);
  });

  it('is read no faster than its client takes it, and ends with it', async () => {
    let read = 0;
    let ended = (): void => undefined;
    const end = new Promise<void>((resolve) => {
      ended = resolve;
    });
    const numbers = {
      ...fakeHistory<NumberItem>([]),
      async *stream() {
        try {
          for (; ; read++) yield Array.from({ length: 100 }, (_, n) => bulky(n));
        } finally {
          ended();
        }
      },
    };
    const app = await start({}, { numbers });
    const socket = net.connect(app.port, '127.0.0.1');
    socket.pause();
    socket.write(`GET ${NUMBERS} HTTP/1.1\r\nHost: a\r\nAccept: application/x-ndjson\r\n\r\n`);
    // What the system takes without a reader differs; then it stands still.
    let before = -1;
    await expect
      .poll(
        () => {
          const stands = read > 0 && read === before;
          before = read;
          return stands;
        },
        { interval: 200, timeout: 20_000 },
      )
      .toBe(true);
    expect((await fetch(`${app.url}/healthz`)).status).toBe(200);
    socket.resume();
    const at = read;
    while (read < at + 20) await once(socket, 'data');
    socket.destroy();
    await end;
  });

  it('is one of few at a time, of which an address has a part', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const numbers = {
      ...fakeHistory<NumberItem>([]),
      async *stream() {
        yield [bulky(1)];
        await held;
      },
    };
    const app = await start({}, { numbers });
    const open = await Promise.all([stream(app, 'text/csv'), stream(app, 'text/csv')]);
    const third = await stream(app, 'text/csv');
    expect(third.status).toBe(429);
    expect(await third.json()).toMatchObject({ code: 'rate_limited' });
    release();
    for (const one of open) expect(await one.text()).toContain('preto');
    expect((await stream(app, 'text/csv')).status).toBe(200);
  });

  it('has no body and no length for HEAD, and leaves nothing open', async () => {
    const app = await start();
    for (let n = 0; n < 5; n++) {
      const response = await fetch(app.url + NUMBERS, { method: 'HEAD', headers: { accept: 'text/csv' } });
      expect([response.status, await response.text()]).toEqual([200, '']);
      expect(response.headers.get('content-length')).toBeNull();
    }
  });
});

describe('GET /api/v1/tables/:id/stats', () => {
  it('gives statistics of the database over more numbers than are in memory', async () => {
    const asked: unknown[] = [];
    const tableStats: HttpApp['deps']['tableStats'] = async (_table, query) => {
      asked.push(query);
      return statsOf([0, 17, 17], null, null);
    };
    const app = await start({}, { tableStats });
    expect((await get(app, '/api/v1/tables/2010017/stats')).answer).toMatchObject({
      roleta_id: '2010017',
      total: 3,
      cores: { verde: 1, vermelho: 0, preto: 2 },
    });
    await get(app, '/api/v1/tables/2010017/stats?last=1000');
    await get(app, '/api/v1/tables/2010017/stats?since=2026-11-24');
    expect(asked).toEqual([
      { ...WHOLE_HISTORY, last: 200, doubleZero: false },
      { ...WHOLE_HISTORY, last: 1000, doubleZero: false },
      { ...WHOLE_HISTORY, sinceMs: Date.UTC(2026, 10, 24), last: 1_000_000, doubleZero: false },
    ]);
    expect((await get(app, '/api/v1/tables/2010017/stats?last=0')).status).toBe(400);
  });

  it('gives statistics over the numbers in memory, without the database', async () => {
    const tableStats = async () => {
      throw new ProtocolError('database_unavailable');
    };
    const app = await start({}, { tableStats });
    expect((await get(app, '/api/v1/tables/2010017/stats?last=2')).answer).toMatchObject({
      total: 2,
      cores: { verde: 1, vermelho: 0, preto: 1 },
      ate: '2026-11-24T13:02:00.000Z',
      desde: '2026-11-24T13:01:00.000Z',
    });
    expect((await get(app, '/api/v1/tables/2010017/stats?last=4')).status).toBe(503);
  });
});
