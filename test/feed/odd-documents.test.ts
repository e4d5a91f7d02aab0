import { MongoClient, ObjectId } from 'mongodb';
import { expect, it, onTestFinished, vi } from 'vitest';
import {
  element,
  ODD_IDS,
  ODD_VALUES,
  rawArray,
  rawCommand,
  rawDocument,
  rawString,
  sendRaw,
} from '../../bench/chaos/odd-documents.ts';
import { logTo } from '../../src/log/log.ts';
import { startTestFeed, type TestFeed, type TestSubscriber } from '../support/feed.ts';
import { freshDatabase, startMongo } from '../support/mongo.ts';

const ODD = '2010011';
const CALM = '2010012';
const STEADY = { timeout: 20_000, interval: 20 };

const objectId = (id: ObjectId): Buffer => element(0x07, '_id', Buffer.from(id.id));
const date = (name: string): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(Date.now()));
  return element(0x09, name, bytes);
};
const int32 = (name: string, value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return element(0x10, name, bytes);
};

/** The fields of a good document of each watched collection, but for the odd one. */
const GOOD: Readonly<Record<string, () => ReadonlyMap<string, Buffer>>> = {
  roleta_numeros: () =>
    new Map([
      ['roleta_id', rawString('roleta_id', ODD)],
      ['roleta_nome', rawString('roleta_nome', 'Mesa')],
      ['numero', int32('numero', 7)],
      ['timestamp', date('timestamp')],
      ['obs', rawString('obs', 'x')],
    ]),
  [ODD]: () =>
    new Map([
      ['numero', int32('numero', 8)],
      ['timestamp', date('timestamp')],
      ['obs', rawString('obs', 'x')],
    ]),
  estrategia_historico_novo: () =>
    new Map([
      ['roleta_id', rawString('roleta_id', ODD)],
      ['estado', rawString('estado', 'NEUTRAL')],
      ['sugestao_display', rawString('sugestao_display', 'x')],
      ['terminais_gatilho', rawArray('terminais_gatilho', [])],
      ['timestamp', date('timestamp')],
    ]),
  roletas: () =>
    new Map([
      ['nome', rawString('nome', 'Mesa')],
      ['estado', rawString('estado', 'NEUTRAL')],
    ]),
  metadados: () =>
    new Map([
      ['roleta_id', rawString('roleta_id', ODD)],
      ['roleta_nome', rawString('roleta_nome', 'Mesa')],
      ['estrategia', element(0x03, 'estrategia', rawDocument(rawString('estado', 'NEUTRAL')))],
    ]),
};

/** Every odd value in every field of every watched collection, and as an `_id`; and odd names of fields. */
function oddInserts(): { readonly collection: string; readonly documents: Buffer[] }[] {
  return Object.entries(GOOD).map(([collection, fields]) => {
    const documents = [...fields().keys()].flatMap((odd) =>
      Object.values(ODD_VALUES).map(({ type, value }) => {
        const others = [...fields()].filter(([name]) => name !== odd).map(([, bytes]) => bytes);
        return rawDocument(objectId(new ObjectId()), ...others, element(type, odd, value));
      }),
    );
    const ids = ODD_IDS.flatMap((name) => {
      const found = ODD_VALUES[name];
      return found === undefined ? [] : [rawDocument(element(found.type, '_id', found.value), ...fields().values())];
    });
    // Every field a second time, and names that are no UTF-8 among the good ones.
    const good = [...fields().values()];
    const names = [
      rawDocument(objectId(new ObjectId()), ...good, ...good),
      rawDocument(objectId(new ObjectId()), element(0x08, Buffer.from('S\u00e3o', 'latin1'), Buffer.of(1)), ...good),
      rawDocument(element(0x08, Buffer.of(0xff), Buffer.of(1)), objectId(new ObjectId()), ...good),
    ];
    return { collection, documents: [...documents, ...ids, ...names] };
  });
}

const insertion = (database: string, collection: string, documents: readonly Buffer[], id: number): Buffer =>
  rawCommand(
    database,
    id,
    rawString('insert', collection),
    rawArray('documents', documents),
    element(0x08, 'ordered', Buffer.of(0)),
  );

interface Stage {
  readonly uri: string;
  readonly database: string;
  readonly client: MongoClient;
  readonly feed: TestFeed;
  readonly lines: readonly string[];
  /** Hears the table that nothing odd happens to. */
  readonly calm: TestSubscriber;
  /** Inserts a number into the calm table, and waits until it arrives. */
  alive(numero: number): Promise<void>;
  /** Starts another instance. */
  start(): TestFeed;
}

async function stage(): Promise<Stage> {
  const mongo = await startMongo();
  onTestFinished(() => mongo.stop());
  const { uri } = mongo;
  const client = new MongoClient(uri);
  onTestFinished(() => client.close());
  const database = freshDatabase();
  const numbers = client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
  await numbers.insertOne({ roleta_id: CALM, numero: 1, timestamp: new Date() });
  const lines: string[] = [];
  const log = logTo((_level, event, fields) => lines.push(`${event} ${JSON.stringify(fields)}`));
  const start = (): TestFeed => {
    const started = startTestFeed(uri, database, {}, { log });
    onTestFinished(() => started.stop());
    return started;
  };
  const feed = start();
  await feed.feed.ready;
  const calm = feed.connect();
  calm.subscribe({ topics: [`roulette:${CALM}`] });
  await calm.next(({ type }) => type === 'subscribed');
  return {
    uri,
    database,
    client,
    feed,
    lines,
    calm,
    start,
    async alive(numero) {
      await numbers.insertOne({ roleta_id: CALM, numero, timestamp: new Date() });
      await calm.next((frame) => frame['type'] === 'new_number' && frame['numero'] === numero);
    },
  };
}

it('stopped every table for ever: an odd value in any field or _id costs its own document and no more', async () => {
  const { uri, database, feed, lines, calm, alive, start } = await stage();
  let request = 0;
  for (const { collection, documents } of oddInserts()) {
    for (let at = 0; at < documents.length; at += 50) {
      await sendRaw(uri, insertion(database, collection, documents.slice(at, at + 50), ++request));
    }
  }
  await alive(2);
  const { phase, reopens, resets, skipped, lastSkipped } = feed.feed.status();
  expect({ phase, reopens }).toEqual({ phase: 'live', reopens: {} });
  expect(resets['history_lost']).toBeUndefined();
  expect(Object.values(skipped).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(100);
  expect(lastSkipped.map(({ reason }) => reason).sort()).toEqual(Object.keys(skipped).sort());
  expect(lastSkipped.every(({ id, ns }) => id !== '' && ns.startsWith(database))).toBe(true);
  expect(lines.filter((line) => line.startsWith('feed_document_skipped')).length).toBeGreaterThan(2);
  expect(lines.some((line) => line.startsWith('feed_fresh'))).toBe(false);
  expect(calm.frames.filter(({ type }) => type === 'reset')).toEqual([]);

  // A field that nobody reads never arrives: those numbers are as good as any.
  const odd = feed.connect();
  odd.subscribe({ topics: [{ topic: `roulette:${ODD}`, history: 200 }] });
  const { numeros } = await odd.next(({ type }) => type === 'snapshot');
  expect(Array.isArray(numeros) ? numeros.length : 0).toBeGreaterThan(150);

  const late = start();
  await late.feed.ready;
  expect(late.feed.status().reopens).toEqual({});
  for (const table of [ODD, CALM]) expect(await snapshotOf(late, table)).toBe(await snapshotOf(feed, table));
}, 120_000);

/** The text of the table's snapshot, without where it stands. */
async function snapshotOf(feed: TestFeed, table: string): Promise<string> {
  const subscriber = feed.connect();
  subscriber.subscribe({ topics: [{ topic: `roulette:${table}`, history: 200 }] });
  await subscriber.next(({ type }) => type === 'snapshot');
  subscriber.end();
  return (subscriber.texts[0] ?? '').replace(/"position":"[0-9a-f]+"/, '"position":"-"');
}

it('an update that puts an odd value into a good document costs that document, and one that mends it brings it back', async () => {
  const { uri, database, client, feed, calm, alive } = await stage();
  const numbers = client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
  const kinds = Object.entries(ODD_VALUES);
  const ids = kinds.map(() => new ObjectId());
  await numbers.insertMany(ids.map((_id) => ({ _id, roleta_id: ODD, numero: 3, timestamp: new Date() })));
  let request = 0;
  for (const field of ['numero', 'obs', 'roleta_nome']) {
    for (const [at, [, { type, value }]] of kinds.entries()) {
      const id = ids[at];
      if (id === undefined) continue;
      const update = rawDocument(
        element(0x03, 'q', rawDocument(objectId(id))),
        element(0x03, 'u', rawDocument(element(0x03, '$set', rawDocument(element(type, field, value))))),
      );
      await sendRaw(
        uri,
        rawCommand(database, ++request, rawString('update', 'roleta_numeros'), rawArray('updates', [update])),
      );
    }
  }
  await alive(4);
  expect(feed.feed.status()).toMatchObject({ phase: 'live', reopens: {} });
  expect(calm.frames.filter(({ type }) => type === 'reset')).toEqual([]);

  await numbers.updateMany({ _id: { $in: ids } }, { $set: { numero: 5, roleta_nome: 'Mesa' } });
  await alive(6);
  const mended = async (): Promise<number> => (await snapshotOf(feed, ODD)).split('"numero":5').length - 1;
  await vi.waitUntil(async () => (await mended()) === ids.length, STEADY);
}, 120_000);
