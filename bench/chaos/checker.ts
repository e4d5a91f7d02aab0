import type { Collection, Document } from 'mongodb';
import type { Follower, TableView } from './follower.ts';
import type { WriterLog } from './writer.ts';

/** What the database holds in the end, in the order in which subscribers see it: per table, newest first. */
export type Truth = ReadonlyMap<string, readonly string[]>;

/** The checks of assertion A: all zero, and no words, when the promise was kept. */
export interface Verdict {
  lost: number;
  duplicated: number;
  reordered: number;
  invented: number;
  words: string[];
}

export const KEPT_PROMISE: Verdict = { lost: 0, duplicated: 0, reordered: 0, invented: 0, words: [] };

/** Reads what is stored, by majority. */
export async function readTruth(numbers: Collection): Promise<Truth> {
  const truth = new Map<string, string[]>();
  const documents: Document[] = await numbers
    .find({}, { projection: { roleta_id: 1 }, sort: { timestamp: -1, _id: -1 }, readConcern: { level: 'majority' } })
    .toArray();
  for (const document of documents) {
    const table = String(document['roleta_id']);
    const list = truth.get(table) ?? [];
    list.push(String(document['_id']));
    truth.set(table, list);
  }
  return truth;
}

/** Whether the follower knows this number, or was never owed it: older than its newest snapshot reaches. */
function knows(view: TableView, ids: readonly string[], at: number): boolean {
  const id = ids[at] ?? '';
  if (view.numbers.has(id) || view.delivered.has(id)) return true;
  return view.horizon !== '' && at > ids.indexOf(view.horizon);
}

/** True when a follower has everything that is stored in the tables it follows. */
export function isComplete(follower: Follower, truth: Truth): boolean {
  for (const [table, ids] of truth) {
    if (follower.wanted !== null && !follower.wanted.includes(table)) continue;
    const view = follower.tables.get(table);
    if (view === undefined || view.owed || !ids.every((_, at) => knows(view, ids, at))) return false;
  }
  return follower.acknowledged;
}

/** Compares what was written and stored with what every follower got. */
export function judge(followers: readonly Follower[], truth: Truth, writers: readonly WriterLog[]): Verdict {
  const verdict: Verdict = { lost: 0, duplicated: 0, reordered: 0, invented: 0, words: [] };
  const say = (words: string): void => {
    if (verdict.words.length < 20) verdict.words.push(words);
  };
  const stored = new Set([...truth.values()].flat());
  for (const writer of writers) {
    for (const id of writer.acknowledged) {
      if (stored.has(id)) continue;
      verdict.lost++;
      say(`acknowledged ${id} is not in the database`);
    }
  }
  for (const follower of followers) {
    const { name } = follower;
    for (const words of follower.problems) {
      if (words.includes('twice')) verdict.duplicated++;
      else if (words.includes('hole')) verdict.lost++;
      else verdict.invented++;
      say(words);
    }
    for (const [table, ids] of truth) {
      if (follower.wanted !== null && !follower.wanted.includes(table)) continue;
      const view = follower.tables.get(table);
      const missing = ids.filter((_, at) => view === undefined || !knows(view, ids, at));
      verdict.lost += missing.length;
      if (missing.length > 0) say(`${name}: table ${table} lacks ${missing.length} of ${ids.length}, as ${missing[0]}`);
    }
    for (const [table, view] of follower.tables) {
      const ids = new Set(truth.get(table) ?? []);
      const twice = view.events.length - view.delivered.size;
      verdict.duplicated += twice;
      if (twice > 0) say(`${name}: ${twice} events of ${table} came twice`);
      for (const id of view.events) {
        if (ids.has(id) || view.removed.has(id)) continue;
        verdict.invented++;
        say(`${name}: ${id} of ${table} is not in the database`);
      }
      for (const writer of writers) {
        let last = 0;
        for (const id of view.events) {
          const entry = writer.written.get(id);
          if (entry === undefined) continue;
          if (entry.sequence < last) {
            verdict.reordered++;
            say(`${name}: ${id} of ${table} came after number ${last} of its writer`);
          }
          last = Math.max(last, entry.sequence);
        }
      }
    }
  }
  return verdict;
}
