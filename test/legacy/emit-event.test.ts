import { afterEach, describe, expect, it } from 'vitest';
import { EVENT_OR_DATA_MISSING, parseEmitEvent } from '../../src/legacy/emit-event.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import type { IngestContext } from '../../src/roulette/ingest.ts';
import { type HttpApp, startHttpApp } from '../support/http-app.ts';

const started: HttpApp[] = [];
afterEach(() => {
  for (const app of started.splice(0)) app.stop();
});

const start: typeof startHttpApp = async (options, overrides) => {
  const app = await startHttpApp(options, overrides);
  started.push(app);
  return app;
};

const emit = async (app: HttpApp, body: unknown, headers: Record<string, string> = {}) => {
  const response = await fetch(`${app.url}/emit-event`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return { status: response.status, text: await response.text(), headers: response.headers };
};

const OK = '{"success":true,"message":"Evento emitido com sucesso"}';
const MISSING = '{"error":"Evento ou dados ausentes no payload"}';
const FAILED = '{"error":"Erro interno ao processar evento"}';
const DATA = {
  roleta_id: '2010165',
  roleta_nome: 'Roulette',
  numero: 0,
  timestamp: new Date().toISOString().replace('Z', '456'),
};

describe('POST /emit-event', () => {
  it('stores a number that comes without type and colour, and answers with the legacy body', async () => {
    const app = await start();
    const { status, text } = await emit(app, { event: 'new_number', data: DATA });
    expect([status, text]).toEqual([200, OK]);
    expect([...app.deps.stored.values()]).toMatchObject([{ table: '2010165', numero: 0, cor: 'verde' }]);
  });

  it('does not say "emitido" of a number that is too old to be an event', async () => {
    const app = await start();
    const { status, text } = await emit(app, {
      event: 'new_number',
      data: { ...DATA, timestamp: '2024-11-24T13:00:00' },
    });
    expect(status).toBe(200);
    expect(JSON.parse(text)).toEqual({ success: true, message: expect.stringContaining('antigo'), live: false });
    expect(app.deps.stored.size).toBe(1);
  });

  it('stores a strategy state under its older names', async () => {
    const app = await start();
    const data = {
      ...DATA,
      estado: 'MORTO',
      display_suggestion: 'AGUARDAR',
      numero_gatilho: -1,
      terminais_gatilho: [],
    };
    const { status, text } = await emit(app, { event: 'strategy_update', data });
    expect([status, text]).toEqual([200, OK]);
    expect([...app.deps.stored.values()]).toMatchObject([{ estado: 'MORTO', sugestaoDisplay: 'AGUARDAR' }]);
  });

  it('answers a repeated post as it answered the first, and stores one number', async () => {
    const app = await start();
    const answers = await Promise.all(Array.from({ length: 10 }, () => emit(app, { event: 'new_number', data: DATA })));
    expect(new Set(answers.map(({ text }) => text))).toEqual(new Set([OK]));
    expect(app.deps.stored.size).toBe(1);
  });

  it.each([
    ['no event', { data: DATA }],
    ['no data', { event: 'new_number' }],
    ['an empty event', { event: '', data: DATA }],
    ['null data', { event: 'new_number', data: null }],
    ['an empty object', {}],
    ['text that is no JSON', '{"event":'],
    ['an array', []],
  ])('answers %s with the legacy 400', async (_name, body) => {
    const app = await start();
    const { status, text } = await emit(app, body);
    expect([status, text]).toEqual([400, MISSING]);
  });

  it('misses event and data in a body of another type, as the first server did', async () => {
    const app = await start();
    const { status, text } = await emit(app, JSON.stringify({ event: 'new_number', data: DATA }), {
      'Content-Type': 'text/plain',
    });
    expect([status, text]).toEqual([400, MISSING]);
    expect(app.deps.stored.size).toBe(0);
  });

  it('names what is wrong with impossible data, and stores nothing', async () => {
    const app = await start();
    const { status, text } = await emit(app, { event: 'new_number', data: { ...DATA, numero: 37 } });
    expect(status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({ error: expect.any(String), problems: [{ path: 'data.numero' }] });
    expect(app.deps.stored.size).toBe(0);
  });

  it('answers the legacy 500 when nothing could be stored', async () => {
    const insertNumbers = async () => {
      throw new ProtocolError('database_unavailable', { retryMs: 2000 });
    };
    const app = await start({}, { insertNumbers });
    const { status, text, headers } = await emit(app, { event: 'new_number', data: DATA });
    expect([status, text, headers.get('retry-after')]).toEqual([500, FAILED, '2']);
  });

  it('answers the legacy 500 to a failure that nobody foresaw', async () => {
    const insertNumbers = async () => {
      throw new TypeError('boom');
    };
    const app = await start({}, { insertNumbers });
    const { status, text } = await emit(app, { event: 'new_number', data: DATA });
    expect([status, text]).toEqual([500, FAILED]);
    expect(app.deps.lines.map(({ event }) => event)).toContain('request_failed');
  });

  it('does not say of a strategy, in confirm mode, that it was emitted', async () => {
    const app = await start({ emitEvent: 'confirm', confirmWaitMs: 1234 }, { confirmNumber: async () => true });
    const data = { roleta_id: '2010165', estado: 'TRIGGER' };
    const { status, text } = await emit(app, { event: 'strategy_update', data });
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({ success: true, live: false });
    expect(text).not.toContain('emitido');
  });

  it('confirms, in confirm mode, what the scraper inserted itself, and writes nothing', async () => {
    const waits: number[] = [];
    const confirmNumber = async (item: { numero: number }, waitMs: number) => {
      waits.push(waitMs);
      return item.numero === 0;
    };
    const app = await start({ emitEvent: 'confirm', confirmWaitMs: 1234 }, { confirmNumber });
    expect(await emit(app, { event: 'new_number', data: DATA })).toMatchObject({ status: 200, text: OK });
    const missing = await emit(app, { event: 'new_number', data: { ...DATA, numero: 5 } });
    expect([missing.status, missing.text]).toEqual([500, FAILED]);
    expect(waits).toEqual([1234, 1234]);
    expect(app.deps.stored.size).toBe(0);
    expect(app.deps.outcomes).toEqual([
      { kind: 'number', key: 'local', outcome: 'confirmed' },
      { kind: 'number', key: 'local', outcome: 'write_unknown' },
    ]);
  });

  it('takes its credentials from the address, as Python clients send them', async () => {
    const app = await start({ ingestKeys: [{ name: 'scraper', secret: 'a-long-enough-secret' }] });
    const basic = `Basic ${Buffer.from('scraper:a-long-enough-secret').toString('base64')}`;
    const body = { event: 'new_number', data: DATA };
    expect(await emit(app, body, { Authorization: basic })).toMatchObject({ status: 200, text: OK });
    const refused = await emit(app, body);
    expect(refused.status).toBe(401);
    expect(JSON.parse(refused.text)).toMatchObject({ error: expect.any(String), code: 'unauthorized' });
  });
});

describe('the body of an event', () => {
  const data = { type: 'new_number', roleta_id: '2010165', roleta_nome: 'Roulette', numero: 0 };

  const context: IngestContext = {
    nowMs: Date.UTC(2025, 3, 11, 17, 40),
    resolve: () => [],
    nameOf: () => null,
    idempotencyKey: null,
    caller: '',
    mayPost: () => true,
    freshKey: () => 'fresh',
  };
  const pathsOf = (body: unknown): string[] => {
    try {
      parseEmitEvent(body, context);
    } catch (error) {
      if (error instanceof ProtocolError) return error.problems.map(({ path }) => path);
      throw error;
    }
    throw new Error('nothing was refused');
  };

  it('is a number or a strategy, also under its older name', () => {
    for (const event of ['new_number', 'global_update']) {
      expect(parseEmitEvent({ event, data }, context)).toMatchObject({ kind: 'number', number: { numero: 0 } });
    }
    const state = { roleta_id: '2010165', estado: 'MORTO' };
    for (const event of ['strategy_update', 'global_strategy_update']) {
      expect(parseEmitEvent({ event, data: state }, context)).toMatchObject({
        kind: 'strategy',
        strategy: { estado: 'MORTO' },
      });
    }
  });

  it.each([[{}], [{ event: 'new_number' }], [{ data }], [null], [[]], ['x'], [{ event: '', data: null }]])(
    'without event or data is refused with the legacy sentence, case %#',
    (body) => {
      expect(() => parseEmitEvent(body, context)).toThrow(EVENT_OR_DATA_MISSING);
    },
  );

  it('names problems inside its data', () => {
    expect(pathsOf({ event: 'new_number', data: { numero: 99 } }).sort()).toEqual(['data.numero', 'data.roleta_id']);
    expect(pathsOf({ event: 'outro', data })).toEqual(['event']);
    expect(pathsOf({ event: 'new_number', data: 5 })).toEqual(['data']);
  });
});
