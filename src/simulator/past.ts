import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { colourOf } from '../roulette/wheel.ts';
import { bodyOf, credentialsOf, type PostOptions } from './post.ts';
import { below, type Random, type Stamped } from './round.ts';
import type { Analyser } from './strategy.ts';
import type { KnownTable } from './tables.ts';

/** How long a wheel takes from one number to the next: 39 s in the field, and so much more or less. */
const SPIN_MS = 39_000;
const SPREAD_MS = 8_000;
/** The youngest number of the past is at least so old. */
const YOUNGEST_MS = 3_000;
/** So many of each table's numbers come first, so that the play can begin; the older ones come beside it. */
const RECENT = 40;
/** The states that these last numbers led to are stored; the order of states is the order of their storing. */
const WITH_STATES = 100;
/** Items of one post. */
const BATCH = 500;
const ATTEMPT_TIMEOUT_MS = 30_000;
const FIRST_RETRY_MS = 500;
const ATTEMPTS = 5;

export interface PastOptions extends Pick<PostOptions, 'url' | 'key'> {
  readonly tables: readonly KnownTable[];
  /** Numbers per table. */
  readonly count: number;
  readonly random: Random;
  /** Begins every key, so that two runs never share one. */
  readonly runId: string;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  readonly signal: AbortSignal;
}

const known = z.object({ numeros: z.array(z.object({ numero: z.number() })) });

/**
 * Gives every table that has no numbers a past, with the strategies that the analyser makes of it. The past of a table
 * that has one is read instead, so that the analyser goes on from there. Resolves when the newest are stored, with what
 * stores the older ones; both throw Error when the service takes none.
 */
export async function tellPast(options: PastOptions, analyser: Analyser | null): Promise<() => Promise<void>> {
  const numbers: Stamped[] = [];
  const states: Stamped[] = [];
  const older: Stamped[] = [];
  for (const table of options.tables) {
    const before = await pastOf(options, table);
    for (const numero of before) analyser?.follow(roundOf(options, table, numero, 0));
    const rounds = before.length > 0 ? [] : inventedRounds(options, table);
    rounds.forEach((round, at) => {
      const left = rounds.length - at;
      (left > RECENT ? older : numbers).push(round);
      const state = analyser?.follow(round) ?? null;
      if (state !== null && left <= WITH_STATES) states.push({ ...state, timestampMs: round.timestampMs });
    });
  }
  await post(options, '/api/v1/numbers', numbers);
  await post(options, '/api/v1/strategies', states);
  return () => post(options, '/api/v1/numbers', older);
}

/** The numbers that the service has of a table, oldest first. */
async function pastOf({ url, count }: PastOptions, { id }: KnownTable): Promise<number[]> {
  const limit = Math.min(count, BATCH);
  const answer = await fetch(new URL(`/api/v1/tables/${encodeURIComponent(id)}/numbers?limit=${limit}`, url), {
    signal: AbortSignal.timeout(ATTEMPT_TIMEOUT_MS),
  });
  const read = known.safeParse(await answer.json());
  // An unknown table has no past; a service that lets nobody read is given one twice at worst.
  return read.success ? read.data.numeros.map(({ numero }) => numero).reverse() : [];
}

const roundOf = ({ runId }: PastOptions, table: KnownTable, numero: number, timestampMs: number) => ({
  kind: 'number' as const,
  table: table.id,
  name: table.name,
  numero,
  cor: colourOf(numero),
  timestampMs,
  key: `${runId}-past-${table.id}-${timestampMs}`,
  maker: '',
  objectId: null,
});

/** Numbers of a wheel that turned until a moment ago, oldest first. */
function inventedRounds(options: PastOptions, table: KnownTable) {
  const { count, random, nowMs } = options;
  let timeMs = nowMs - YOUNGEST_MS - below(random, SPIN_MS);
  const newestFirst = Array.from({ length: count }, () => {
    const round = roundOf(options, table, below(random, 37), timeMs);
    timeMs -= SPIN_MS - SPREAD_MS + below(random, 2 * SPREAD_MS);
    return round;
  });
  return newestFirst.reverse();
}

async function post(options: PastOptions, path: string, items: readonly Stamped[]): Promise<void> {
  for (let at = 0; at < items.length && !options.signal.aborted; at += BATCH) {
    await postBatch(options, path, JSON.stringify(items.slice(at, at + BATCH).map(bodyOf)));
  }
}

async function postBatch({ url, key, signal }: PastOptions, path: string, body: string): Promise<void> {
  const headers = {
    'content-type': 'application/json',
    ...(key === null ? {} : { authorization: credentialsOf(key) }),
  };
  for (let attempt = 0; ; attempt += 1) {
    const limit = AbortSignal.timeout(ATTEMPT_TIMEOUT_MS);
    const response = await fetch(new URL(path, url), { method: 'POST', headers, body, signal: limit });
    const text = await response.text();
    if (response.ok) return;
    const mayRepeat = response.status === 429 || response.status >= 500;
    if (!mayRepeat || attempt >= ATTEMPTS) throw new Error(`No past was stored: HTTP ${response.status} ${text}`);
    await sleep(FIRST_RETRY_MS * 2 ** attempt, undefined, { signal }).catch(() => undefined);
  }
}
