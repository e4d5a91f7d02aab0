import { type Document, ObjectId } from 'mongodb';
import type { Chance } from './chance.ts';
import { ODD_ACTIONS } from './odd-actions.ts';
import { type Action, CROWD, NUMBERS, OWN, PLACES, ROWS, TABLES, type World } from './world.ts';

const STATES = ['NEUTRAL', 'TRIGGER', 'POST_GALE_NEUTRAL', 'MORTO'];
/** Errors that the stream goes on after, and some that end what it knows. */
const CODES = [6, 43, 91, 189, 262, 280, 11600, 11602, 13435, 99999, 136, 286];

const numberOf = (chance: Chance, ageMs = 0): Document => ({
  _id: new ObjectId(),
  roleta_id: chance.pick(TABLES),
  numero: chance.whole(0, 36),
  timestamp: new Date(Date.now() - ageMs),
});

const strategyOf = (chance: Chance): Document => ({
  estado: chance.pick(STATES),
  numero_gatilho: chance.whole(-1, 36),
  vitorias: chance.whole(0, 2),
  timestamp: new Date(),
});

async function insert(world: World, name: string, documents: Document[]): Promise<void> {
  for (const { _id } of documents) world.written.add(String(_id));
  await world.collection(name).insertMany(documents);
}

/** One of the newest numbers, or null. */
async function recent(world: World, name: string, chance: Chance): Promise<ObjectId | null> {
  const found = await world
    .collection(name)
    .find({}, { projection: { _id: 1 }, sort: { _id: -1 }, limit: 8 })
    .toArray();
  const document = found.length === 0 ? null : chance.pick(found);
  return document?._id instanceof ObjectId ? document._id : null;
}

const fail = (world: World, mode: Document, data: Document): Promise<Document> =>
  world.admin
    .db('admin')
    .command({ configureFailPoint: 'failCommand', mode, data: { appName: 'runcash-live feed', ...data } });

const repeat = (count: number, make: () => Document): Document[] => Array.from({ length: count }, make);

/** Everything that can happen, by name. */
export const ACTIONS: Readonly<Record<string, Action>> = {
  numbers: {
    weight: 30,
    async run(world, chance) {
      const count = chance.whole(1, 12);
      for (let at = 0; at < count; at++) await insert(world, NUMBERS, [numberOf(chance)]);
      return `${count} numbers one by one`;
    },
  },
  many: {
    weight: 8,
    async run(world, chance) {
      const count = chance.whole(5, 60);
      await insert(
        world,
        NUMBERS,
        repeat(count, () => numberOf(chance)),
      );
      return `${count} numbers at once`;
    },
  },
  own: {
    weight: 8,
    async run(world, chance) {
      const count = chance.whole(1, 6);
      const documents = repeat(count, () => {
        const { roleta_id: _id, ...rest } = numberOf(chance);
        return rest;
      });
      await insert(world, OWN, documents);
      return `${count} numbers in the collection ${OWN}`;
    },
  },
  transaction: {
    weight: 10,
    async run(world, chance) {
      const count = chance.whole(2, 40);
      const abort = chance.next() < 0.2;
      const documents = repeat(count, () => numberOf(chance));
      for (const { _id } of documents) world.written.add(String(_id));
      await world.writer.client.withSession(async (session) => {
        session.startTransaction({ writeConcern: { w: 'majority', j: true } });
        const inside = world.writer.client.db(world.database);
        await inside.collection(NUMBERS).insertMany(documents, { session });
        await inside.collection(ROWS).insertOne({ roleta_id: chance.pick(TABLES), ...strategyOf(chance) }, { session });
        if (abort) await session.abortTransaction();
        else await session.commitTransaction();
      });
      return `a transaction of ${count} numbers${abort ? ', aborted' : ''}`;
    },
  },
  backfill: {
    weight: 4,
    async run(world, chance) {
      const count = chance.whole(1, 10);
      await insert(
        world,
        NUMBERS,
        repeat(count, () => numberOf(chance, 600_000 + chance.whole(0, 1e6))),
      );
      return `an import of ${count} old numbers`;
    },
  },
  rows: {
    weight: 10,
    async run(world, chance) {
      const count = chance.whole(1, 5);
      for (let at = 0; at < count; at++) {
        await world.collection(ROWS).insertOne({ roleta_id: chance.pick(TABLES), ...strategyOf(chance) });
      }
      return `${count} strategy rows`;
    },
  },
  state: {
    weight: 10,
    async run(world, chance) {
      const table = chance.pick(TABLES);
      const set =
        chance.next() < 0.5
          ? { estrategia: strategyOf(chance) }
          : { 'estrategia.estado': chance.pick(STATES), nota: 1 };
      await world.collection('metadados').updateOne({ roleta_id: table }, { $set: set }, { upsert: true });
      return `the strategy of ${table} in place`;
    },
  },
  correct: {
    weight: 8,
    async run(world, chance) {
      const name = chance.pick([NUMBERS, OWN]);
      const _id = await recent(world, name, chance);
      if (_id === null) return 'nothing to correct';
      await world.collection(name).updateOne({ _id }, { $set: { numero: chance.whole(0, 36) } });
      return `a correction in ${name}`;
    },
  },
  remove: {
    weight: 6,
    async run(world, chance) {
      const name = chance.pick([NUMBERS, OWN, ROWS]);
      const _id = await recent(world, name, chance);
      if (_id === null) return 'nothing to remove';
      await world.collection(name).deleteOne({ _id });
      return `a removal in ${name}`;
    },
  },
  foreign: {
    weight: 6,
    async run(world, chance) {
      const count = chance.whole(10, 300);
      await world.collection('outra').insertMany(repeat(count, () => ({ texto: 'x'.repeat(50) })));
      return `${count} documents that concern nobody`;
    },
  },
  malformed: {
    weight: 3,
    async run(world, chance) {
      await world.collection(NUMBERS).insertOne({ roleta_id: chance.pick(TABLES), numero: 99, timestamp: new Date() });
      return 'a number 99';
    },
  },
  error: {
    weight: 16,
    async run(world, chance) {
      const errorCode = chance.pick(CODES);
      const command = chance.pick(['getMore', 'getMore', 'getMore', 'aggregate', 'find']);
      const times = chance.whole(1, 3);
      await fail(world, { times }, { failCommands: [command], errorCode });
      return `${command} fails ${times} times with ${errorCode}`;
    },
  },
  hangUp: {
    weight: 6,
    async run(world, chance) {
      const command = chance.pick(['getMore', 'aggregate', 'hello']);
      await fail(world, { times: 1 }, { failCommands: [command], closeConnection: true });
      return `the connection ends in ${command}`;
    },
  },
  stall: {
    weight: 6,
    async run(world, chance) {
      const blockTimeMS = chance.whole(50, 1_500);
      const command = chance.pick(['getMore', 'getMore', 'aggregate', 'find']);
      const times = chance.whole(1, 3);
      await fail(world, { times }, { failCommands: [command], blockConnection: true, blockTimeMS });
      return `${command} stands still ${times} times for ${blockTimeMS} ms`;
    },
  },
  migrate: {
    weight: 4,
    async run(world, chance) {
      const table = chance.pick(TABLES);
      const moved = chance.next() < 0.5 ? { timestamp: new Date(Date.now() - chance.whole(0, 2e6)) } : { lote: 2 };
      const { modifiedCount } = await world.collection(NUMBERS).updateMany({ roleta_id: table }, { $set: moved });
      return `a migration sets ${Object.keys(moved)} of ${modifiedCount} numbers of ${table}`;
    },
  },
  crowd: {
    weight: 1,
    async run(world, chance) {
      const documents = CROWD.map((table) => ({ ...numberOf(chance), roleta_id: table }));
      await insert(world, NUMBERS, documents);
      return `one number each for ${documents.length} more tables`;
    },
  },
  sessions: {
    weight: 3,
    async run(world) {
      await world.admin.db('admin').command({ killAllSessions: [] });
      return 'all cursors are killed';
    },
  },
  truncate: {
    weight: 3,
    async run(world, chance) {
      const keep = chance.whole(1, 40);
      await world.admin.db('admin').command({ runcashTestCutOplog: 1, keep });
      return `the oplog keeps ${keep} entries`;
    },
  },
  drop: {
    weight: 2,
    async run(world, chance) {
      const name = chance.pick([NUMBERS, OWN, ROWS, 'metadados']);
      await world.collection(name).drop();
      return `${name} is dropped`;
    },
  },
  rename: {
    weight: 3,
    async run(world) {
      const database = world.writer.client.db(world.database);
      const names = (await database.listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name);
      const from = names.includes('guardado') ? 'guardado' : OWN;
      if (!names.includes(from)) return 'nothing to rename';
      const to = from === OWN ? 'guardado' : OWN;
      await database.collection(from).rename(to, { dropTarget: true });
      return `${from} becomes ${to}`;
    },
  },
  dropDatabase: {
    weight: 0.5,
    async run(world) {
      await world.writer.client.db(world.database).dropDatabase();
      return 'the database is dropped';
    },
  },
  kill: {
    weight: 4,
    async run(world, chance) {
      const place = chance.whole(0, PLACES - 1);
      await world.kill(place);
      return `instance ${place} dies`;
    },
  },
  revive: {
    weight: 4,
    async run(world) {
      world.revive();
      return 'dead instances start';
    },
  },
  move: {
    weight: 14,
    async run(world, chance) {
      const reader = chance.pick(world.readers);
      reader.move();
      return `the reader of ${reader.follower.name} moves`;
    },
  },
  leave: {
    weight: 6,
    async run(world, chance) {
      const reader = chance.pick(world.readers);
      reader.leave();
      return `the reader of ${reader.follower.name} leaves`;
    },
  },
  ...ODD_ACTIONS,
  come: {
    weight: 6,
    async run(world) {
      for (const reader of world.readers) reader.come();
      return 'all readers come';
    },
  },
};

/** Draws an action by its weight. */
export function draw(chance: Chance): readonly [name: string, action: Action] {
  const entries = Object.entries(ACTIONS);
  let left = chance.next() * entries.reduce((sum, [, { weight }]) => sum + weight, 0);
  for (const entry of entries) {
    left -= entry[1].weight;
    if (left < 0) return entry;
  }
  return entries[0] ?? ['none', { weight: 0, run: async () => 'nothing' }];
}
