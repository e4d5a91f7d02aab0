import { parseArgs } from 'node:util';
import { canonicalId } from '../roulette/table.ts';
import { FIRST_TABLES } from './legacy.ts';
import { KNOWN_TABLES, type KnownTable } from './tables.ts';

export const SIMULATOR_USAGE = `runcash-live simulate [options]

Plays croupier for the real tables, or replays a recording. Numbers are posted to the service, or inserted into MongoDB.

  --url URL              the service (default http://HOST:PORT of the configuration)
  --key KEY              name:secret or secret for posting (default: the first of INGEST_KEYS)
  --direct               insert into MongoDB instead (--mongodb, default MONGODB_URI or 127.0.0.1:27017)
  --mongodb URI          the MongoDB for --direct
  --layout NAME          shared or per-table, for --direct (default shared)
  --legacy               the first system's simulation: six tables, a number every 2-5 s, every third time a strategy,
                         through /emit-event
  --replay FILE          send the numbers of a recording at their pace, with the time of now
  --keep-timestamps      ... with their recorded times and identities
  --speed N              so many times faster (default 1)
  --tables N|ID,ID       the first N tables, or these (default all 39)
  --rate N               numbers per second over all tables (default 0.91)
  --burst N              at most so many numbers at a time (default 4)
  --restart-duplicates   every 60 s send every table's last number again, as a restarted scraper does
  --past N               first give every table that has none N numbers of the past, and their strategies
  --strategy             send strategy states too (default; --no-strategy for numbers only)
  --duration SECONDS     stop after so long
  --count N              stop after so many numbers
  --seed N               play the same numbers as another run with this seed
  --verify               follow /events too; exit 1 when something acknowledged is not delivered exactly once
  --token TOKEN          subscriber's token for --verify`;

/** Node's timers overflow beyond 2^31 ms. */
const MAX_DURATION_S = 2_000_000;

export interface SimulatorOptions {
  readonly url: URL;
  readonly key: string | null;
  /** Plays the first system's simulation. */
  readonly legacy: boolean;
  readonly direct: { readonly uri: string; readonly layout: 'shared' | 'per-table' } | null;
  readonly replay: { readonly file: string; readonly keepTimestamps: boolean } | null;
  readonly speed: number;
  readonly tables: readonly KnownTable[];
  readonly rate: number;
  readonly burst: number;
  readonly restartDuplicates: boolean;
  readonly strategy: boolean;
  /** Numbers of the past for every table that has none; null for none. */
  readonly past: number | null;
  readonly durationMs: number | null;
  readonly count: number | null;
  readonly seed: number | null;
  readonly verify: boolean;
  readonly token: string | null;
}

/** What the configuration offers where the command line is silent. */
export interface SimulatorDefaults {
  readonly url: string;
  readonly key: string | null;
  readonly mongodb: string;
}

/** The command line cannot be followed; every problem is a sentence. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join('\n'), options);
    this.problems = problems;
  }
}

/** Reads the command line; null asks for the usage. Throws UsageError with every problem. */
export function simulatorOptions(args: readonly string[], defaults: SimulatorDefaults): SimulatorOptions | null {
  const given = readArgs(args);
  if (given.help) return null;
  const problems: string[] = [];
  const number = (name: string, text: string | undefined, fallback: number, min: number, max: number): number => {
    const value = text === undefined ? fallback : Number(text);
    if (text !== undefined && (text.trim() === '' || !(value >= min && value <= max))) {
      problems.push(`--${name} must be a number from ${min} to ${max}, not "${text}"`);
    }
    return value;
  };
  const whole = (name: string, text: string | undefined, max: number): number | null => {
    if (text === undefined) return null;
    const value = number(name, text, 1, 1, max);
    if (!Number.isInteger(value)) problems.push(`--${name} must be a whole number, not "${text}"`);
    return value;
  };
  const keepTimestamps = given['keep-timestamps'] ?? false;
  const check = (wrong: boolean, sentence: string): void => {
    if (wrong) problems.push(sentence);
  };
  check(keepTimestamps && given.replay === undefined, '--keep-timestamps needs --replay');
  check(
    keepTimestamps && given.verify === true,
    '--verify cannot be used with --keep-timestamps: old numbers are backfill and are not published one by one',
  );
  for (const other of ['direct', 'replay', 'rate', 'burst', 'restart-duplicates', 'past', 'verify'] as const) {
    // `--verify` too: the answer of /emit-event does not name what was stored.
    check(given.legacy === true && given[other] !== undefined, `--legacy cannot be used with --${other}`);
  }
  check(given.past !== undefined && given.direct === true, '--past cannot be used with --direct');
  check(given.mongodb !== undefined && given.direct !== true, '--mongodb needs --direct');
  check(
    given.layout !== undefined && given.layout !== 'shared' && given.layout !== 'per-table',
    `--layout must be shared or per-table, not "${given.layout}"`,
  );
  const durationS = given.duration === undefined ? null : number('duration', given.duration, 0, 0.1, MAX_DURATION_S);
  const options: SimulatorOptions = {
    url: webAddress(given.url ?? defaults.url, problems),
    key: given.key ?? defaults.key,
    legacy: given.legacy ?? false,
    direct: given.direct
      ? { uri: given.mongodb ?? defaults.mongodb, layout: given.layout === 'per-table' ? 'per-table' : 'shared' }
      : null,
    replay: given.replay === undefined ? null : { file: given.replay, keepTimestamps },
    speed: number('speed', given.speed, 1, 0.001, 100_000),
    tables: chosenTables(given.tables ?? (given.legacy ? String(FIRST_TABLES) : undefined), problems),
    rate: number('rate', given.rate, 0.91, 0.001, 100_000),
    burst: whole('burst', given.burst, 1000) ?? 4,
    restartDuplicates: given['restart-duplicates'] ?? false,
    past: whole('past', given.past, 10_000),
    strategy: given.strategy ?? given.replay === undefined,
    durationMs: durationS === null ? null : durationS * 1000,
    count: whole('count', given.count, 1e9),
    seed: whole('seed', given.seed, 2 ** 32),
    verify: given.verify ?? false,
    token: given.token ?? null,
  };
  if (problems.length > 0) throw new UsageError(problems);
  return options;
}

function readArgs(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowNegative: true,
      options: {
        url: { type: 'string' },
        key: { type: 'string' },
        legacy: { type: 'boolean' },
        direct: { type: 'boolean' },
        mongodb: { type: 'string' },
        layout: { type: 'string' },
        replay: { type: 'string' },
        'keep-timestamps': { type: 'boolean' },
        speed: { type: 'string' },
        tables: { type: 'string' },
        rate: { type: 'string' },
        burst: { type: 'string' },
        'restart-duplicates': { type: 'boolean' },
        past: { type: 'string' },
        strategy: { type: 'boolean' },
        duration: { type: 'string' },
        count: { type: 'string' },
        seed: { type: 'string' },
        verify: { type: 'boolean' },
        token: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (cause) {
    throw new UsageError([cause instanceof Error ? cause.message : String(cause)], { cause });
  }
}

function webAddress(text: string, problems: string[]): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return url;
  problems.push(`--url must be an http or https address, not "${text}"`);
  return new URL('http://127.0.0.1');
}

function chosenTables(text: string | undefined, problems: string[]): readonly KnownTable[] {
  if (text === undefined) return KNOWN_TABLES;
  // One or two digits alone are a count; as ids they go into a list.
  if (/^\d{1,2}$/.test(text)) {
    const isCount = Number(text) >= 1 && Number(text) <= KNOWN_TABLES.length;
    if (!isCount) problems.push(`--tables must be a count up to ${KNOWN_TABLES.length} or table ids, not "${text}"`);
    return KNOWN_TABLES.slice(0, Number(text));
  }
  return text.split(',').flatMap((entry) => {
    const id = canonicalId(entry.trim());
    const known = KNOWN_TABLES.find((table) => table.id === id);
    if (known !== undefined) return [known];
    if (id !== null) return [{ id, name: `Mesa ${id}` }];
    problems.push(`--tables must be a count up to ${KNOWN_TABLES.length} or table ids, not "${entry}"`);
    return [];
  });
}
