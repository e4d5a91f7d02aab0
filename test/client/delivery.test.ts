import { describe, expect, it } from 'vitest';
import type { Table } from '../../src/client/connect.ts';
import { createStage, SPEED, VIP, VIP_TOO } from './stage.ts';

const topic = `roulette:${SPEED.id}`;
const numeros = (table: Table | undefined): number[] => (table?.numeros ?? []).map((item) => item.numero);

describe('a subscription', () => {
  it('begins with the last numbers and hands on what follows, once', async () => {
    const { clock, feed, client } = createStage();
    feed.past(SPEED.id, [1, 2, 0]);
    const live: number[] = [];
    const snapshots: number[][] = [];
    const subscription = client.subscribe(topic, {
      onNumber: (event) => live.push(event.numero),
      onSnapshot: (table) => snapshots.push(numeros(table)),
    });
    await clock.advance(50);
    await subscription.ready();
    feed.number(SPEED.id, 0);
    feed.number(SPEED.id, 0);
    await clock.advance(50);
    expect(snapshots).toEqual([[0, 2, 1]]);
    expect(live).toEqual([0, 0]);
    expect(numeros(subscription.tables.get(SPEED.id))).toEqual([0, 0, 0, 2, 1]);
    expect(client.state).toMatchObject({ name: 'live', transport: 'websocket' });
  });

  it('keeps as many numbers as were asked for', async () => {
    const { clock, feed, client } = createStage();
    feed.past(SPEED.id, [1, 2, 3, 4, 5, 6]);
    client.subscribe(topic, { history: 3 });
    await clock.advance(50);
    expect(numeros(client.tables.get(SPEED.id))).toEqual([6, 5, 4]);
    feed.number(SPEED.id, 7);
    await clock.advance(50);
    expect(numeros(client.tables.get(SPEED.id))).toEqual([7, 6, 5]);
  });

  it('asks for more history when a later subscription wants more of the same table', async () => {
    const { clock, feed, client } = createStage();
    feed.past(
      SPEED.id,
      Array.from({ length: 37 }, (_, index) => index),
    );
    client.subscribe('*');
    await clock.advance(50);
    expect(client.tables.get(SPEED.id)?.numeros).toHaveLength(20);
    const deep = client.subscribe(topic, { history: 200 });
    await clock.advance(100);
    expect(client.tables.get(SPEED.id)?.numeros).toHaveLength(37);
    deep.unsubscribe();
    feed.number(SPEED.id, 5);
    await clock.advance(100);
    expect(client.tables.get(SPEED.id)?.numeros).toHaveLength(20);
    // What was cut off is not taken for the whole when somebody wants it again.
    client.subscribe(topic, { history: 200 });
    await clock.advance(100);
    expect(client.tables.get(SPEED.id)?.numeros).toHaveLength(38);
  });

  it('of one table is whole where all tables are kept shorter', async () => {
    const { clock, feed, client } = createStage();
    feed.past(
      SPEED.id,
      Array.from({ length: 15 }, (_, index) => index),
    );
    client.subscribe('*', { history: 5 });
    await clock.advance(50);
    client.subscribe(topic, { history: 100 });
    await clock.advance(100);
    expect(client.tables.get(SPEED.id)?.numeros).toHaveLength(15);
  });

  it('by name follows every table of that name, also one that appears later', async () => {
    const { clock, feed, client } = createStage();
    const seen: string[] = [];
    const subscription = client.subscribe('roulette:VIP Roulette', { onNumber: (event) => seen.push(event.roleta_id) });
    await clock.advance(50);
    expect([...subscription.tables.keys()].sort()).toEqual([VIP.id, VIP_TOO.id]);
    feed.tables.set('2999999', {
      id: '2999999',
      nome: 'VIP Roulette',
      numeros: [],
      estrategia: null,
      floor: feed.delivered,
      prev: null,
    });
    const names = { topic: 'roulette:2999999', roleta_id: '2999999', roleta_nome: 'VIP Roulette' };
    feed.publish({ type: 'resolved', ...names, asked: 'roulette:VIP Roulette' }, null);
    const { epoch, delivered: position } = feed;
    const empty = { numeros: [], estrategia: null, stale: false };
    feed.publish({ type: 'snapshot', ...names, epoch, position, ...empty }, names.topic);
    await clock.advance(50);
    feed.number('2999999', 7);
    feed.number(SPEED.id, 8);
    feed.number(VIP.id, 9);
    await clock.advance(50);
    expect(seen).toEqual(['2999999', VIP.id]);
  });

  it.each([[[]], [['*']]])('by name is handed what its tables are at first, beside %j', async (others) => {
    const { clock, client } = createStage();
    for (const other of others) client.subscribe(other);
    const seen: string[] = [];
    client.subscribe('roulette:VIP Roulette', {
      onSnapshot: (table, { reason }) => seen.push(`${reason} ${table.id}`),
      onTable: (table) => seen.push(table.id),
    });
    await clock.advance(50);
    expect(seen).toEqual([VIP.id, VIP_TOO.id].flatMap((id) => [`new ${id}`, id]));
  });

  it('to an unknown name ends with an error and leaves the others alone', async () => {
    const { clock, feed, client } = createStage();
    const errors: string[] = [];
    const wrong = client.subscribe('roulette:Nowhere', { onError: (error) => errors.push(error.code) });
    const ready = expect(wrong.ready()).rejects.toMatchObject({ code: 'unknown_topic' });
    const live: number[] = [];
    client.subscribe(topic, { onNumber: (event) => live.push(event.numero) });
    await clock.advance(100);
    await ready;
    feed.number(SPEED.id, 12);
    await clock.advance(50);
    expect(errors).toEqual(['unknown_topic']);
    expect(live).toEqual([12]);
  });

  it('knows prefixed ids, and refuses what is no topic', async () => {
    const { clock, client, network } = createStage();
    client.subscribe('roulette:2_2010165');
    client.subscribe('roulette:2010165_2');
    await clock.advance(50);
    expect(network.latest().received).toHaveLength(1);
    expect([...network.latest().held]).toEqual([topic]);
    expect(() => client.subscribe('table:1')).toThrow(/no topic/);
  });

  it('can be iterated, and ends when it is told to', async () => {
    const { clock, feed, client } = createStage();
    const abort = new AbortController();
    const subscription = client.subscribe(topic, { signal: abort.signal });
    const types: string[] = [];
    const reading = (async () => {
      for await (const message of subscription) types.push(message.type);
    })();
    await clock.advance(50);
    feed.number(SPEED.id, 3);
    await clock.advance(50);
    abort.abort();
    await reading;
    expect(types).toEqual(['snapshot', 'new_number']);
    expect([...subscription.tables]).toEqual([]);
  });

  it('that nobody reads from fails instead of skipping', async () => {
    const { clock, feed, client } = createStage();
    const iterator = client.subscribe(topic)[Symbol.asyncIterator]();
    await clock.advance(50);
    for (let round = 0; round < 10_001; round++) feed.number(SPEED.id, round % 37);
    await clock.advance(100);
    let taken = 0;
    const reading = (async () => {
      for (;;) {
        const step = await iterator.next();
        if (step.done) return;
        taken += 1;
      }
    })();
    await expect(reading).rejects.toMatchObject({ code: 'overflow' });
    expect(taken).toBe(10_000);
  });

  it('gives a table that is known already to a second subscriber at once', async () => {
    const { clock, feed, client, network } = createStage();
    feed.past(SPEED.id, [4]);
    client.subscribe('*');
    await clock.advance(50);
    const asked = network.latest().received.length;
    const snapshots: number[][] = [];
    client.subscribe(topic, { onSnapshot: (table) => snapshots.push(numeros(table)) });
    await clock.advance(50);
    expect(snapshots).toEqual([[4]]);
    expect(network.latest().received).toHaveLength(asked);
  });

  it('moves between all tables and single ones without losing or repeating an event', async () => {
    const { clock, feed, client, network } = createStage();
    const live: number[] = [];
    client.subscribe(topic, { onNumber: (event) => live.push(event.numero) });
    await clock.advance(50);
    feed.number(SPEED.id, 1);
    const all = client.subscribe('*');
    feed.number(SPEED.id, 2);
    await clock.advance(50);
    feed.number(SPEED.id, 3);
    await clock.advance(50);
    all.unsubscribe();
    feed.number(SPEED.id, 4);
    await clock.advance(50);
    feed.number(SPEED.id, 5);
    feed.number(VIP.id, 36);
    await clock.advance(50);
    expect(live).toEqual([1, 2, 3, 4, 5]);
    expect([...network.latest().held]).toEqual([topic]);
    expect([...client.tables.keys()]).toEqual([SPEED.id]);
  });
});

describe('a table', () => {
  it('takes corrections and removals, and fills up what a removal took from its end', async () => {
    const { clock, feed, client } = createStage();
    feed.past(SPEED.id, [1, 2, 3, 4, 5]);
    const told: string[] = [];
    client.subscribe(topic, {
      history: 3,
      onCorrected: (event) => told.push(`corrected ${event.numero}`),
      onRemoved: (event) => told.push(`removed ${event.id}`),
    });
    await clock.advance(50);
    const [newest, second] = client.tables.get(SPEED.id)?.numeros ?? [];
    feed.correct(SPEED.id, newest?.id ?? '', 0);
    feed.remove(SPEED.id, second?.id ?? '');
    await clock.advance(50);
    expect(told).toEqual(['corrected 0', `removed ${second?.id}`]);
    expect(numeros(client.tables.get(SPEED.id))).toEqual([0, 3]);
    await clock.advance(2000);
    expect(numeros(client.tables.get(SPEED.id))).toEqual([0, 3, 2]);
  });

  it('sorts a late number where it belongs', async () => {
    const { clock, feed, client } = createStage();
    client.subscribe(topic);
    await clock.advance(50);
    feed.number(SPEED.id, 1);
    await clock.advance(1000);
    feed.number(SPEED.id, 2, { at: clock.now() - 5000 });
    await clock.advance(50);
    expect(numeros(client.tables.get(SPEED.id))).toEqual([1, 2]);
  });

  it('carries its strategy, and suspect numbers as suspect', async () => {
    const { clock, feed, client } = createStage();
    client.subscribe(topic);
    await clock.advance(50);
    feed.number(SPEED.id, 9, { suspeito: true });
    feed.strategy(SPEED.id, {
      estado: 'TRIGGER',
      numero_gatilho: 7,
      terminais_gatilho: [4, 7, 8],
      vitorias: 2,
      derrotas: 1,
      sugestao_display: 'APOSTAR EM: 4,7,8',
      timestamp: null,
    });
    await clock.advance(50);
    const table = client.tables.get(SPEED.id);
    expect(table?.numeros[0]).toMatchObject({ numero: 9, suspeito: true });
    expect(table?.estrategia).toMatchObject({ estado: 'TRIGGER', terminais_gatilho: [4, 7, 8] });
  });

  it('is stale from its reset until the snapshot that replaces it', async () => {
    const { clock, feed, client } = createStage();
    feed.past(SPEED.id, [1, 2]);
    const resets: string[] = [];
    client.subscribe(topic, { onReset: (reset) => resets.push(reset.reason) });
    await clock.advance(50);
    feed.drop(SPEED.id);
    await clock.advance(50);
    expect(resets).toEqual(['drop']);
    expect(client.tables.get(SPEED.id)).toMatchObject({ stale: true });
    feed.settle(SPEED.id);
    await clock.advance(50);
    expect(client.tables.get(SPEED.id)).toMatchObject({ stale: false, numeros: [] });
  });
});
