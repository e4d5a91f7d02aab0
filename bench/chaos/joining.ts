import { topicOf } from '../../src/protocol/messages.ts';
import { ORIGIN, type Position } from '../../src/protocol/position.ts';
import type { Chance } from './chance.ts';
import { type Instance, startInstance } from './instance.ts';
import { createWriter } from './writer.ts';

/** What one subscriber got: where its snapshot or its replay began, and the positions of the events after that. */
interface Joined {
  readonly table: string;
  from: string;
  readonly positions: string[];
}

export interface JoinsResult {
  readonly subscribes: number;
  /** Numbers written meanwhile. */
  readonly events: number;
  readonly eventsPerSecond: number;
  readonly gaps: number;
  readonly duplicates: number;
}

const TABLES = ['2010011', '2010012', '2010016', '2010017'];
const AT_ONCE = 100;
const EVERY_MS = 50;
/** Events that each subscriber stays for. */
const STAYS_FOR = 8;

/**
 * Subscribes so often while 2,000 events a second flow, half of them from a position of before, and compares what each
 * got with everything that there was.
 */
export async function tryJoins(
  uri: string,
  database: string,
  subscribes: number,
  chance: Chance,
): Promise<JoinsResult> {
  const instance = startInstance(uri, database, { ringBytes: 1e9 });
  await instance.feed.ready;
  const writer = createWriter(uri, database, TABLES);
  const all = new Map<string, string[]>(TABLES.map((table) => [table, []]));
  const reference = instance.connect({
    frame(text) {
      const { type, roleta_id, position }: Record<string, unknown> = JSON.parse(text);
      if (type === 'new_number') all.get(String(roleta_id))?.push(String(position));
    },
    closed: () => undefined,
  });
  reference.subscribe({ topics: [{ topic: 'roulette:*' }] });

  let writing = true;
  const began = performance.now();
  const load = (async () => {
    while (writing) {
      const due = began + Math.floor(writer.acknowledged.size / AT_ONCE) * EVERY_MS;
      await writer.many(AT_ONCE);
      const early = due + EVERY_MS - performance.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
    }
  })();
  const joined: Promise<Joined>[] = [];
  while (joined.length < subscribes) {
    // A few in the turns between two batches, so that they meet the events wherever those are.
    for (let at = chance.whole(1, 6); at > 0; at--) joined.push(join(instance, chance.pick(TABLES), all, chance));
    await new Promise((resolve) => setTimeout(resolve, chance.whole(0, 8)));
  }
  const results = await Promise.all(joined);
  const eventsPerSecond = writer.acknowledged.size / ((performance.now() - began) / 1e3);
  writing = false;
  await load;
  let gaps = 0;
  let duplicates = 0;
  for (const { table, from, positions } of results) {
    const last = positions.at(-1) ?? '';
    const wanted = (all.get(table) ?? []).filter((position) => position > from && position <= last);
    duplicates += positions.length - new Set(positions).size;
    const got = new Set(positions);
    gaps += wanted.filter((position) => !got.has(position)).length;
  }
  reference.cut();
  await writer.close();
  await instance.stop();
  return { subscribes: results.length, events: writer.acknowledged.size, eventsPerSecond, gaps, duplicates };
}

function join(
  instance: Instance,
  table: string,
  all: ReadonlyMap<string, readonly string[]>,
  chance: Chance,
): Promise<Joined> {
  const before: string | undefined = (all.get(table) ?? []).at(-chance.whole(1, 60));
  const after: Position | string | null = chance.next() < 0.5 ? null : (before ?? ORIGIN);
  return new Promise((resolve, reject) => {
    const result: Joined = { table, from: after ?? '', positions: [] };
    const wire = instance.connect({
      frame(text) {
        const { type, position }: Record<string, unknown> = JSON.parse(text);
        if (type === 'snapshot') result.from = String(position);
        if (type !== 'new_number') return;
        result.positions.push(String(position));
        // Live ones: what a replay brought may be more than that already.
        if (result.positions.length < STAYS_FOR + 60) return;
        wire.cut();
        resolve(result);
      },
      closed: (code) => reject(new Error(`closed with ${code}`)),
    });
    wire.subscribe({ topics: [{ topic: topicOf(table), ...(after === null ? {} : { after }) }] });
  });
}
