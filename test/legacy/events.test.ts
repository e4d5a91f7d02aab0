import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { TableDetail } from '../../src/gateway/http/deps.ts';
import { frameOf } from '../../src/protocol/messages.ts';
import { ORIGIN } from '../../src/protocol/position.ts';
import { isTableId, type TableId } from '../../src/roulette/table.ts';
import { type Heard, type LegacyStage, OTHER, startLegacyStage, TABLE } from './stage.ts';

let stage: LegacyStage;
const WEBSOCKET = { transports: ['websocket'] };

/** A client that is connected and was greeted. */
async function arrive(options: Parameters<LegacyStage['connect']>[0] = WEBSOCKET): Promise<Heard> {
  const client = stage.connect(options);
  await client.heard('connection_success');
  return client;
}

async function subscribed(client: Heard, asked: unknown = TABLE, event = 'subscribe_to_roleta'): Promise<unknown> {
  return await client.socket.emitWithAck(event, asked);
}

/** Lets everything arrive that was sent to a client before: an answer comes after it. */
const settled = (client: Heard): Promise<unknown> => client.socket.emitWithAck('unsubscribe', '2380390');

const numberOf = (numero: number, cor: string, table = TABLE) => ({
  type: 'new_number',
  roleta_id: table,
  roleta_nome: `Table ${table}`,
  numero,
  cor,
  timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
});

const STRATEGY = {
  type: 'strategy_update',
  roleta_id: TABLE,
  roleta_nome: 'Roulette',
  estado: 'TRIGGER',
  numero_gatilho: 7,
  terminais_gatilho: [4, 7, 8],
  vitorias: 2,
  derrotas: 1,
  sugestao_display: 'APOSTAR EM: 4,7,8',
  timestamp: '2026-11-24T13:00:00.000Z',
};

function publishStrategy(): void {
  const { type: _, ...strategy } = STRATEGY;
  const topic = `roulette:${TABLE}`;
  const position = stage.feed.sync();
  const frame = frameOf({ type: 'strategy_update', topic, position, prev: null, ...strategy, estado: 'TRIGGER' });
  stage.gateway.publish(topic, frame);
  stage.gateway.publish('roulette:*', frame);
}

const tableState = (table: TableId, last: number): TableDetail => ({
  roleta_id: table,
  roleta_nome: 'Roulette',
  uuid: '',
  ultimo: null,
  estrategia: null,
  epoch: 'e1',
  position: ORIGIN,
  stale: false,
  numeros: Array.from({ length: last }, (_, at) => ({
    id: String(at),
    numero: at % 37,
    cor: 'preto' as const,
    timestamp: '2026-11-24T13:00:00.000Z',
  })),
});

describe('a first client', () => {
  beforeEach(async () => {
    stage = await startLegacyStage({}, { source: { table: (table) => tableState(table, 200) } });
  });
  afterEach(() => stage.stop());

  it('is told its connection first, and whether MongoDB answers', async () => {
    stage.setDatabase(false);
    const client = await arrive();
    expect(client.events).toEqual([
      ['connection_status', { connected: true, mongodb: false }],
      ['connection_success', { status: 'connected' }],
    ]);
  });

  it('is told when MongoDB goes away and comes back', async () => {
    const client = await arrive();
    const since = '2026-11-24T13:00:00.000Z';
    stage.gateway.publish('', frameOf({ type: 'status', feed: 'stale', since }));
    stage.gateway.publish('', frameOf({ type: 'status', feed: 'live', since }));
    await client.heard('connection_status', 3);
    expect(client.payloads('connection_status')).toEqual([
      { connected: true, mongodb: true },
      { connected: true, mongodb: false },
      { connected: true, mongodb: true },
    ]);
  });

  it.each([
    ['subscribe_to_roleta', TABLE],
    ['subscribe', TABLE],
    ['subscribe', Number(TABLE)],
    ['subscribe_to_roleta', { roleta_nome: TABLE }],
    ['subscribe', { roletaNome: TABLE }],
    ['subscribe', { roletaId: TABLE }],
    ['subscribe', { roletaId: Number(TABLE) }],
    ['subscribe', { roleta_id: ` ${TABLE} `, roleta_nome: 'another' }],
    ['subscribe', { id: TABLE }],
  ])('subscribes by %s %j and gets the last 20 numbers, newest first', async (event, asked) => {
    for (let numero = 0; numero < 25; numero += 1) stage.feed.spin(TABLE, numero);
    const client = await arrive();
    client.socket.emit(event, asked);
    const [history] = await client.heard('recent_history');
    const { type: _, ...fields } = numberOf(24, 'preto');
    expect(history).toHaveLength(20);
    expect(history).toMatchObject(Array.from({ length: 20 }, (_value, at) => ({ numero: 24 - at })));
    expect(history).toMatchObject([{ ...fields, _id: expect.any(String) }, {}, ...new Array(18).fill({})]);
    stage.feed.spin(TABLE, 0);
    expect(await client.heard('new_number')).toEqual([numberOf(0, 'verde')]);
  });

  it('gets numbers of its tables alone, and global ones of all', async () => {
    const client = await arrive();
    await subscribed(client);
    stage.feed.spin(OTHER, 0);
    stage.feed.spin(TABLE, 1);
    await client.heard('global_update', 2);
    expect(client.payloads('new_number')).toEqual([numberOf(1, 'vermelho')]);
    expect(client.payloads('global_update')).toEqual([numberOf(0, 'verde', OTHER), numberOf(1, 'vermelho')]);
  });

  it('gets strategies, with the fields of the first system and no more', async () => {
    const client = await arrive();
    await subscribed(client);
    publishStrategy();
    expect(await client.heard('global_strategy_update')).toEqual([STRATEGY]);
    expect(await client.heard('strategy_update')).toEqual([STRATEGY]);
  });

  it('gets nothing of a table any more that it left', async () => {
    const client = await arrive();
    await subscribed(client);
    await subscribed(client, { roleta_nome: TABLE }, 'unsubscribe_from_roleta');
    stage.feed.spin(TABLE, 5);
    await client.heard('global_update');
    await settled(client);
    expect(client.payloads('new_number')).toEqual([]);
  });

  it('gets each number once, however often it subscribes', async () => {
    const client = await arrive();
    await subscribed(client);
    await subscribed(client);
    stage.feed.spin(TABLE, 5);
    await client.heard('global_update');
    await settled(client);
    expect(client.payloads('new_number')).toHaveLength(1);
    expect(client.payloads('recent_history')).toHaveLength(2);
  });

  it.each([[undefined], [null], [''], [{}], [[]], [true], [{ roleta_nome: 7.5 }], ['x'.repeat(300)]])(
    'is told what is wrong with a subscription to %j',
    async (asked) => {
      const client = await arrive();
      client.socket.emit('subscribe', asked);
      expect(await client.heard('error')).toMatchObject([{ code: 'invalid' }]);
      expect(await client.socket.emitWithAck('subscribe', asked)).toMatchObject({ ok: false, code: 'invalid' });
    },
  );

  it('is told that a table is unknown', async () => {
    const client = await arrive();
    expect(await subscribed(client, 'Nobody’s Roulette')).toMatchObject({ ok: false, code: 'unknown_topic' });
    expect(client.payloads('error')).toMatchObject([{ code: 'unknown_topic' }]);
  });

  it('cannot send numbers', async () => {
    const client = await arrive();
    client.socket.emit('new_number', { roletaId: TABLE, roletaNome: 'Roulette', numero: 7 });
    expect(await client.heard('error')).toMatchObject([{ code: 'forbidden' }]);
    await settled(client);
    expect(client.payloads('global_update')).toEqual([]);
  });

  it('asks for a history and gets what is at hand, or why not', async () => {
    const client = await arrive();
    client.socket.emit('request_history', { roletaId: TABLE });
    const [history] = await client.heard('history_data');
    expect(history).toMatchObject({ roletaId: TABLE, roletaNome: 'Roulette' });
    expect(history).toHaveProperty('numeros.length', 200);
    client.socket.emit('request_history');
    expect(await client.heard('history_error')).toEqual([{ error: 'ID da roleta é obrigatório' }]);
    client.socket.emit('request_history', { roletaId: 'Nobody’s Roulette' });
    expect(await client.heard('history_error', 2)).toEqual([{ error: 'Roleta não encontrada' }]);
  });

  it('gets a list anew when the past of a table changed', async () => {
    const client = await arrive();
    await subscribed(client);
    stage.feed.spin(TABLE, 5);
    stage.feed.reset(TABLE);
    stage.feed.heal(TABLE);
    expect(await client.heard('recent_history', 2)).toMatchObject([[{ numero: 5 }]]);
    const topic = `roulette:${TABLE}`;
    const removed = { topic, position: stage.feed.sync(), prev: null, id: 'x', roleta_id: TABLE, roleta_nome: '' };
    stage.gateway.publish('roulette:*', frameOf({ type: 'number_removed', ...removed }));
    expect(await client.heard('recent_history', 3)).toMatchObject([{ length: 20 }]);
  });

  it('is told no positions, since some clients cannot take an argument more', async () => {
    const client = await arrive();
    await subscribed(client);
    stage.feed.spin(TABLE, 5);
    await client.heard('global_update');
    await settled(client);
    expect(client.events.map(([, ...args]) => args.length)).toEqual(client.events.map(() => 1));
  });
});

describe('with SOCKETIO_BROADCAST', () => {
  beforeEach(async () => {
    stage = await startLegacyStage({}, { broadcast: true, source: { resolve: (id) => (isTableId(id) ? [id] : []) } });
  });
  afterEach(() => stage.stop());

  it('numbers and strategies go to everybody, once', async () => {
    const [idle, busy] = await Promise.all([arrive(), arrive({ transports: ['polling'] })]);
    await subscribed(busy);
    stage.feed.spin(TABLE, 5);
    publishStrategy();
    for (const client of [idle, busy]) {
      await client.heard('global_strategy_update');
      await settled(client);
      expect(client.payloads('new_number')).toEqual([numberOf(5, 'vermelho')]);
      expect(client.payloads('strategy_update')).toEqual([STRATEGY]);
      expect(client.payloads('global_update')).toEqual([numberOf(5, 'vermelho')]);
    }
    expect(busy.payloads('recent_history')).toHaveLength(1);
  });
});

describe('a client that takes positions', () => {
  beforeEach(async () => {
    stage = await startLegacyStage();
  });
  afterEach(() => stage.stop());

  const missing = (payloads: unknown[]) =>
    payloads.map((payload) => (payload instanceof Object && 'numero' in payload ? payload.numero : payload));

  /** Connects anew as one that was here up to `after`. */
  const comeBack = (after: string, transports = ['websocket']) => arrive({ transports, auth: { after } });

  it('gets each with its position', async () => {
    const client = await comeBack('');
    await subscribed(client);
    const position = stage.feed.spin(TABLE, 5);
    expect(await client.heard('new_number')).toEqual([numberOf(5, 'vermelho'), `e1.${position}`]);
    expect(await client.heard('global_update')).toEqual([numberOf(5, 'vermelho'), `e1.${position}`]);
    expect(await client.heard('recent_history')).toEqual([[], expect.stringMatching(/^e1\.[0-9a-f]{22}$/)]);
  });

  it.each([['websocket'], ['polling']])('gets as events over %s what it missed, and then what comes', async (name) => {
    const after = stage.feed.spin(TABLE, 1);
    for (const numero of [2, 3]) {
      stage.feed.spin(TABLE, numero);
      stage.feed.spin(OTHER, numero + 10);
    }
    const client = await comeBack(`e1.${after}`, [name]);
    expect(await client.heard('recovery_status')).toEqual([{ recovered: true, replayed: 4 }]);
    expect(missing(client.payloads('global_update'))).toEqual([2, 12, 3, 13]);
    expect(await subscribed(client)).toEqual({
      ok: true,
      roletas: [{ roleta_id: TABLE, recovered: true, replayed: 2 }],
    });
    expect(client.payloads('recent_history')).toEqual([]);
    stage.feed.spin(TABLE, 4);
    await client.heard('global_update', 5);
    expect(missing(client.payloads('new_number'))).toEqual([2, 3, 4]);
    expect(missing(client.payloads('global_update'))).toEqual([2, 12, 3, 13, 4]);
  });

  it('names a position for a table alone, which goes before that of the connection', async () => {
    const first = stage.feed.spin(TABLE, 1);
    const second = stage.feed.spin(TABLE, 2);
    stage.feed.spin(TABLE, 3);
    const client = await comeBack(`e1.${first}`);
    await subscribed(client, { roletaId: TABLE, after: `e1.${second}` });
    expect(missing(client.payloads('new_number'))).toEqual([3]);
  });

  it('is not replayed a table twice that it takes up again', async () => {
    const after = stage.feed.spin(TABLE, 1);
    stage.feed.spin(TABLE, 2);
    const client = await comeBack(`e1.${after}`);
    await subscribed(client);
    await subscribed(client, TABLE, 'unsubscribe');
    await subscribed(client);
    expect(missing(client.payloads('new_number'))).toEqual([2]);
    expect(client.payloads('recent_history')).toHaveLength(1);
  });

  it('is told when what it missed is gone, and goes on', async () => {
    const after = stage.feed.spin(TABLE, 1);
    stage.feed.restore();
    const client = await comeBack(`e1.${after}`);
    expect(await client.heard('recovery_status')).toEqual([{ recovered: false, reason: 'epoch' }]);
    await subscribed(client);
    expect(client.payloads('recent_history')).toMatchObject([[{ numero: 1 }]]);
    stage.feed.spin(TABLE, 2);
    await client.heard('new_number');
    expect(missing(client.payloads('global_update'))).toEqual([2]);
  });

  it('misses and repeats nothing over many breaks with its positions kept by one line', async () => {
    const client = stage.connect({ transports: ['websocket'], auth: { after: '' } });
    client.socket.on('connect', () => client.socket.emit('subscribe_to_roleta', TABLE));
    client.socket.onAny((_event, _payload, position) => {
      if (position !== undefined) client.socket.auth = { after: position };
    });
    await client.heard('recent_history');
    let numero = 0;
    for (let round = 1; round <= 10; round += 1) {
      for (let spins = 0; spins < 5; spins += 1) stage.feed.spin(TABLE, numero++);
      await client.heard('new_number', numero);
      client.socket.io.engine.close();
      for (let spins = 0; spins < 5; spins += 1) stage.feed.spin(TABLE, numero++);
      await client.heard('new_number', numero);
    }
    await settled(client);
    const expected = Array.from({ length: numero }, (_, at) => at);
    expect(missing(client.payloads('new_number'))).toEqual(expected);
    expect(missing(client.payloads('global_update'))).toEqual(expected);
  });
});
