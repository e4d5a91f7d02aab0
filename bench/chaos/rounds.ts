import type { Document } from 'mongodb';
import { idInTable } from '../../src/roulette/bson-value.ts';
import { draw } from './actions.ts';
import type { Chance } from './chance.ts';
import { ask, compare } from './equality.ts';
import type { Follower, Message } from './follower.ts';
import type { Instance } from './instance.ts';
import { CROWD, NUMBERS, TABLES, type World } from './world.ts';

/** What one round did and found. */
export interface Round {
  /** What happened, in its order: the same for the same seed. */
  readonly trace: readonly string[];
  /** In words; empty when every promise was kept. */
  readonly problems: readonly string[];
  /** Frames that two instances were compared by. */
  readonly compared: number;
}

/** For a world to come to rest after the faults end. */
const REST_MS = 30_000;
const LOOK_MS = 10;
/** Quiet moments of the past from which both instances are asked to replay. */
const PLACES = 5;

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** True as soon as the condition holds, false when it does not in time. */
async function holdsSoon(condition: () => boolean | Promise<boolean>): Promise<boolean> {
  const until = performance.now() + REST_MS;
  while (performance.now() < until) {
    if (await condition()) return true;
    await wait(LOOK_MS);
  }
  return false;
}

/** What stands in the database: per table the numbers, newest first, as [id, value]. */
async function storedNumbers(world: World): Promise<Map<string, [id: string, value: number][]>> {
  // The server sorts out what is odd: the driver cannot decode all of it.
  const read = (name: string, query: Document): Promise<Document[]> =>
    world
      .collection(name)
      .find(
        { numero: { $type: 'number', $gte: 0, $lte: 36 }, ...query },
        { readConcern: { level: 'majority' }, projection: { roleta_id: 1, numero: 1, timestamp: 1 } },
      )
      .toArray();
  const known = [...TABLES, ...CROWD];
  const byTable = new Map<string, Document[]>(known.map((table) => [table, []]));
  const wireIds = new Map<Document, string>();
  for (const document of await read(NUMBERS, { roleta_id: { $in: known } }))
    byTable.get(String(document['roleta_id']))?.push(document);
  for (const table of TABLES) {
    for (const document of await read(table, {})) {
      wireIds.set(document, idInTable(String(document['_id']), table));
      byTable.get(table)?.push(document);
    }
  }
  const newest = (a: Document, b: Document): number =>
    Number(b['timestamp']) - Number(a['timestamp']) || (String(a['_id']) < String(b['_id']) ? 1 : -1);
  return new Map(
    [...byTable].map(([table, documents]) => [
      table,
      documents
        .sort(newest)
        .map((document) => [wireIds.get(document) ?? String(document['_id']), Number(document['numero'])]),
    ]),
  );
}

/** What differs between a follower's view and the database. */
function viewProblems(follower: Follower, stored: ReadonlyMap<string, readonly [string, number][]>): string[] {
  const words: string[] = [];
  for (const [table, numbers] of stored) {
    if (follower.wanted !== null && !follower.wanted.includes(table)) continue;
    const view = follower.tables.get(table);
    if (view === undefined) {
      if (numbers.length > 0) words.push(`${follower.name}: knows nothing of ${table}`);
      continue;
    }
    if (view.owed) words.push(`${follower.name}: ${table} is still owed a snapshot`);
    const truth = new Map(numbers);
    for (const [id, value] of view.numbers) {
      if (truth.get(id) !== value) words.push(`${follower.name}: ${table} has ${id}=${value}, stored ${truth.get(id)}`);
    }
    // A full snapshot shows the newest 20; what was removed or became older since then is not replaced by older ones.
    const newest = new Set(numbers.slice(0, 20).map(([id]) => id));
    const sunk = [...view.corrected].filter((id) => truth.has(id) && !newest.has(id)).length;
    const reach = view.horizon === '' ? numbers.length : Math.max(0, 20 - view.removed.size - sunk);
    const missing = numbers.slice(0, reach).filter(([id]) => !view.numbers.has(id));
    if (missing.length > 0) words.push(`${follower.name}: ${table} lacks ${missing.length}, as ${missing[0]?.[0]}`);
  }
  return words;
}

const isAtRest = (instance: Instance, reached: string): boolean => {
  const status = instance.feed.status();
  return status.phase === 'live' && status.ready && (status.position ?? '') >= reached;
};

/** Lets the faults end, and waits until instances and readers stand where the database stands. */
async function rest(world: World): Promise<string[]> {
  const admin = world.admin.db('admin');
  await admin.command({ configureFailPoint: 'failCommand', mode: 'off' });
  world.revive();
  for (const reader of world.readers) reader.come();
  await world.collection(NUMBERS).insertOne({ roleta_id: TABLES[0], numero: 99, timestamp: new Date() });
  const { lastWrite } = await admin.command({ hello: 1 });
  const time = lastWrite.majorityOpTime.ts;
  const hex = (value: number): string => value.toString(16).padStart(8, '0');
  const reached = hex(time.getHighBitsUnsigned()) + hex(time.getLowBitsUnsigned());
  if (!(await holdsSoon(() => world.living().every((instance) => isAtRest(instance, reached))))) {
    return world.living().map((instance) => `not at rest: ${JSON.stringify(instance.feed.status())}`);
  }
  let problems: string[] = [];
  await holdsSoon(async () => {
    const stored = await storedNumbers(world);
    problems = world.readers.flatMap(({ follower }) =>
      follower.acknowledged ? viewProblems(follower, stored) : [`${follower.name} is not subscribed`],
    );
    return problems.length === 0;
  });
  return problems;
}

function promiseProblems(world: World): string[] {
  return world.readers.flatMap(({ follower }) => {
    const words = [...follower.problems];
    for (const [table, view] of follower.tables) {
      if (view.delivered.size < view.events.length) words.push(`${follower.name}: events of ${table} came twice`);
      // Ids of a table's own collection name the table too.
      const invented = view.events.find((id) => !world.written.has(id.split('@')[0] ?? ''));
      if (invented !== undefined) words.push(`${follower.name}: ${invented} of ${table} was never written`);
    }
    return words;
  });
}

/** What a strategy says; its time alone is no change that is published. */
const saidBy = (strategy: unknown): string =>
  strategy instanceof Object ? JSON.stringify({ ...strategy, timestamp: null }) : 'nothing';

/** What readers believe of each strategy, against what a newcomer is shown. */
async function strategyProblems(world: World, instance: Instance): Promise<string[]> {
  const words: string[] = [];
  for (const table of TABLES) {
    const { texts } = await ask(instance, `roulette:${table}`, null, null);
    const shown: Message = JSON.parse(texts[0] ?? '{}');
    const wanted = saidBy(shown['estrategia']);
    for (const { follower } of world.readers) {
      const view = follower.tables.get(table);
      if (view === undefined || (follower.wanted !== null && !follower.wanted.includes(table))) continue;
      const known = saidBy(JSON.parse(view.strategy));
      if (known !== wanted) words.push(`${follower.name}: ${table} has ${known}, shown is ${wanted}`);
    }
  }
  return words;
}

/** Compares the instances, and one that boots now, by what they send. */
async function instanceProblems(world: World): Promise<{ problems: string[]; compared: number }> {
  const [first, ...others] = world.living();
  if (first === undefined || others.length === 0) return { problems: ['an instance is missing'], compared: 0 };
  const topics = [...TABLES.map((table) => `roulette:${table}`), 'roulette:*'];
  const third = world.another();
  await third.feed.ready;
  const places = world.positions.slice(-PLACES);
  const results = [];
  for (const other of [...others, third]) results.push(await compare(first, other, topics, places));
  await third.stop();
  const strategies = await strategyProblems(world, first);
  return {
    problems: [...strategies, ...results.flatMap(({ differences }) => [...differences])],
    compared: results.reduce((sum, { compared }) => sum + compared, 0),
  };
}

/** Does what chance has it to a world, lets it come to rest, and checks everything. */
export async function playRound(world: World, chance: Chance): Promise<Round> {
  const trace: string[] = [];
  const count = chance.whole(4, 16);
  for (let at = 0; at < count; at++) {
    const [name, action] = draw(chance);
    // What a fault does to the writer is part of the game: only what is stored counts in the end.
    const words = await action.run(world, chance).catch((error: unknown) => `failed: ${String(error)}`);
    trace.push(`${name}: ${words}`);
    if (chance.next() < 0.4) await wait(chance.whole(0, 60));
  }
  const problems = [...(await rest(world)), ...promiseProblems(world)];
  if (problems.length > 0) return { trace, problems, compared: 0 };
  const { problems: differences, compared } = await instanceProblems(world);
  const position = world.living()[0]?.feed.status().position;
  if (position !== null && position !== undefined) world.positions.push(position);
  return { trace, problems: differences, compared };
}
