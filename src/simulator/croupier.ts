import { colourOf } from '../roulette/wheel.ts';
import { below, type Due, makerFrom, type Random, type Round } from './round.ts';
import type { KnownTable } from './tables.ts';

/** The pause between the inserts of one burst, as recorded in the field. */
const BURST_STEP_MS = 260;

export interface CroupierOptions {
  readonly tables: readonly KnownTable[];
  /** Numbers per second over all tables. */
  readonly rate: number;
  /** At most so many numbers come together. */
  readonly burst: number;
  /** Every so many milliseconds the last number of every table comes again, as from a restarted scraper; null never. */
  readonly restartEveryMs: number | null;
  readonly random: Random;
  /** Begins every key, so that two runs never share one. */
  readonly runId: string;
}

/** Plays all tables without end: bursts at changing distances, each of the tables that have waited longest. */
export function* croupier(options: CroupierOptions): Generator<Due, never> {
  const { tables, rate, burst, random, runId } = options;
  const waiting = shuffled(tables, random);
  const last = new Map<string, Round>();
  let maker = makerFrom(random);
  let restartAtMs = options.restartEveryMs ?? Number.POSITIVE_INFINITY;
  let count = 0;
  let atMs = 0;
  const deal = (table: KnownTable, numero: number): Round => {
    count += 1;
    const key = `${runId}-${count}`;
    const fixed = { kind: 'number', timestampMs: null, objectId: null } as const;
    return { ...fixed, table: table.id, name: table.name, numero, cor: colourOf(numero), key, maker };
  };
  for (;;) {
    const size = Math.min(1 + below(random, burst), tables.length);
    // Half to one and a half of the mean distance: wilder ones would let a wheel spin faster than a wheel can.
    atMs += ((0.5 + random()) * 1000 * size) / rate;
    const stepMs = Math.min(BURST_STEP_MS, 1000 / rate);
    for (let index = 0; index < size; index += 1) {
      const table = waiting.splice(below(random, Math.ceil(waiting.length / 3)), 1)[0];
      if (table === undefined) break;
      waiting.push(table);
      const round = deal(table, below(random, 37));
      last.set(table.id, round);
      yield { atMs: atMs + index * stepMs, item: round };
    }
    if (atMs < restartAtMs) continue;
    restartAtMs = atMs + (options.restartEveryMs ?? 0);
    maker = makerFrom(random);
    for (const table of tables) {
      const earlier = last.get(table.id);
      if (earlier !== undefined) yield { atMs, item: deal(table, earlier.numero) };
    }
  }
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let index = result.length - 1; index > 0; index -= 1) {
    const other = below(random, index + 1);
    const [a, b] = [result[index], result[other]];
    if (a !== undefined && b !== undefined) [result[index], result[other]] = [b, a];
  }
  return result;
}
