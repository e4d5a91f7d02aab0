import { randomBytes } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { isoOf } from '../roulette/bson-value.ts';
import { croupier } from './croupier.ts';
import { directSender } from './direct.ts';
import { endingWith } from './ending.ts';
import { everyThird, firstSimulation } from './legacy.ts';
import type { SimulatorOptions } from './options.ts';
import { tellPast } from './past.ts';
import { play } from './play.ts';
import { postSender, reasonOf } from './post.ts';
import { RecordingError, replay } from './replay.ts';
import { type Due, type Stamped, seededRandom } from './round.ts';
import { type Analyser, createAnalyser } from './strategy.ts';
import { createTally, createVerifier, progressLine, type RunTally, type Verification } from './tally.ts';
import { numberKey, strategyKey, watch } from './watch.ts';

const RESTART_EVERY_MS = 60_000;
const GIVE_UP_MS = 60_000;
export interface SimulatorDeps {
  /** Gets whole lines; `live` replaces the line before it where the screen can. */
  readonly print: (line: string, live: boolean) => void;
  readonly databases: { readonly shared: string; readonly tables: string };
  /** Ends the play early; what is under way is still finished and verified. */
  readonly signal: AbortSignal;
  /** How long the last deliveries may take before they count as missing; 10 s unless given. */
  readonly verifyWaitMs?: number;
}

export interface SimulatorResult {
  readonly tally: RunTally;
  /** Null without `--verify`. */
  readonly verification: Verification | null;
}

/** Plays until the recording, the duration or the count ends, or the signal comes. Throws RecordingError only. */
export async function simulate(options: SimulatorOptions, deps: SimulatorDeps): Promise<SimulatorResult> {
  const schedule = await scheduleOf(options);
  const tally = createTally();
  const verifier = createVerifier();
  const watching = new AbortController();
  const ended = endingWith(deps.signal);
  ended.within(options.durationMs);
  const sender =
    options.direct === null
      ? postSender({ url: options.url, key: options.key, legacy: options.legacy })
      : directSender({ ...options.direct, database: deps.databases.shared, tablesDatabase: deps.databases.tables });
  // Every table that waits for a retry listens to it.
  setMaxListeners(0, deps.signal);
  const startMs = Date.now();
  const ticker = setInterval(() => {
    const seconds = Math.round((Date.now() - startMs) / 1000);
    deps.print(progressLine(seconds, tally.read(), options.verify ? verifier.read().delivered : null), true);
  }, 1000);
  let watched: Promise<void> = Promise.resolve();
  try {
    if (options.verify) {
      ({ done: watched } = await startWatching(options, watching.signal, ended.signal, {
        delivered: verifier.delivered,
        error: tally.error,
      }));
    }
    const analyser = options.strategy ? analyserOf(options) : null;
    const older = options.past === null ? null : await past(options, analyser, options.past, deps.signal);
    const played = play(
      schedule,
      { speed: options.speed, giveUpMs: GIVE_UP_MS, signal: ended.signal, hurry: deps.signal },
      {
        sender,
        tally,
        analyser,
        acknowledged: (item, id) => {
          const key = deliveryKey(item, id);
          if (key !== null) verifier.expect(key);
        },
        now: Date.now,
        wait: async (ms, signal) => {
          await sleep(ms, undefined, { signal }).catch(() => undefined);
        },
      },
    );
    await Promise.all([played, older?.()]);
    if (options.verify) await verifier.settled(deps.verifyWaitMs ?? 10_000);
  } finally {
    clearInterval(ticker);
    ended.release();
    watching.abort();
    await watched;
    await sender.close();
  }
  const result = { tally: tally.read(), verification: options.verify ? verifier.read() : null };
  for (const line of summaryOf(result, (Date.now() - startMs) / 1000)) deps.print(line, false);
  return result;
}

/** Whether a run kept every promise: nothing given up, nothing missing, nothing twice. */
export const succeeded = ({ tally, verification }: SimulatorResult): boolean =>
  tally.lost === 0 &&
  tally.refused === 0 &&
  (verification === null || (verification.missing.length === 0 && verification.repeated.length === 0));

function past(
  { url, key, tables, seed }: SimulatorOptions,
  analyser: Analyser | null,
  count: number,
  signal: AbortSignal,
) {
  const random = seed === null ? Math.random : seededRandom(seed);
  const runId = randomBytes(6).toString('hex');
  return tellPast({ url, key, tables, count, random, runId, nowMs: Date.now(), signal }, analyser);
}

const analyserOf = ({ legacy }: SimulatorOptions): Analyser => (legacy ? everyThird(Math.random) : createAnalyser());

async function scheduleOf(options: SimulatorOptions): Promise<Iterable<Due>> {
  const runId = randomBytes(6).toString('hex');
  const limit = options.count ?? Number.POSITIVE_INFINITY;
  if (options.replay === null) {
    const random = options.seed === null ? Math.random : seededRandom(options.seed);
    if (options.legacy) return first(firstSimulation({ tables: options.tables, random, runId }), limit);
    const restartEveryMs = options.restartDuplicates ? RESTART_EVERY_MS : null;
    return first(croupier({ ...options, restartEveryMs, random, runId }), limit);
  }
  const text = await readFile(options.replay.file, 'utf8').catch((cause: unknown) => {
    throw new RecordingError(`The recording cannot be read: ${reasonOf(cause)} ${options.replay?.file}`, { cause });
  });
  return first(replay(text, { keepTimestamps: options.replay.keepTimestamps, runId }), limit);
}

function* first(schedule: Iterable<Due>, limit: number): Generator<Due> {
  let count = 0;
  for (const due of schedule) {
    if (count >= limit) return;
    count += 1;
    yield due;
  }
}

/** Resolves once subscribed, or at the end, with the promise of the watcher itself. */
async function startWatching(
  options: SimulatorOptions,
  signal: AbortSignal,
  ended: AbortSignal,
  events: { delivered(key: string, snapshot: boolean): void; error(reason: string): void },
): Promise<{ done: Promise<void> }> {
  return await new Promise((resolve) => {
    const done = watch(
      { url: options.url, token: options.token, signal },
      { ...events, subscribed: () => resolve({ done }) },
    );
    ended.addEventListener('abort', () => resolve({ done }), { once: true });
  });
}

function deliveryKey(item: Stamped, id: string | null): string | null {
  if (item.kind === 'strategy') return strategyKey(item.table, isoOf(item.timestampMs));
  return id === null ? null : numberKey(id);
}

function summaryOf({ tally, verification }: SimulatorResult, seconds: number): string[] {
  const lines = [
    `Done after ${seconds.toFixed(1)} s: sent ${tally.sent}, acknowledged ${tally.acknowledged}, ` +
      `duplicates ${tally.duplicates}, refused ${tally.refused}, given up ${tally.lost}, failed attempts ${tally.errors}.`,
  ];
  for (const [reason, count] of tally.reasons) lines.push(`  ${count} x ${reason}`);
  if (verification === null) return lines;
  const { delivered, missing, repeated } = verification;
  lines.push(`Delivered ${delivered}, missing ${missing.length}, repeated ${repeated.length}.`);
  for (const key of missing.slice(0, 10)) lines.push(`  missing: ${key}`);
  for (const key of repeated.slice(0, 10)) lines.push(`  repeated: ${key}`);
  return lines;
}
