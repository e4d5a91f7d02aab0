import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';

/**
 * Processor time that a command may use in one piece, in milliseconds. Between documents it pauses by itself (see
 * `yieldTurn` and `Pulse`); this ends what is monstrous within one document, such as a `$map` in a `$map` over a long
 * `$range`, so that nobody else waits for longer than 50 ms: a turn of 8 ms may have gone before, a document that is
 * stored is written to the end (see `whole`), and the garbage of both is collected after.
 */
const LIMIT_MS = 25;
const STEPS_PER_LOOK = 1024;
/** So many steps take no longer: what does is the collector of garbage, or another process. */
const LONGEST_LOOK_MS = 8;
/** Characters that native string operations go over in the time of one step. */
const CHARACTERS_PER_STEP = 16;
/** Of a string or an array that an expression makes: no document can hold more (16 MB and 16 KB). */
export const MAX_TEXT = 16_793_600;
/** The server's limit for what an accumulator, a `$range` or a sort holds (internalQueryMaxBlockingSortMemoryUsageBytes). */
export const MAX_HELD_BYTES = 100 * 1024 * 1024;

let steps = 0;
let began: { readonly used: NodeJS.CpuUsage; lookedAt: number; tookMs: number } | undefined;
/** From the first command on: a data folder is read without a limit. */
let isLimited = false;

/**
 * To be called for every element that is gone over, or once for several.
 *
 * @throws CommandError 50 MaxTimeMSExpired when the process has been held for too long
 */
export function spend(count = 1): void {
  steps += count;
  if (steps >= STEPS_PER_LOOK) look();
}

/** The same for an operation over a whole text, once it is done. */
export function spendText(text: string): string {
  spend(text.length / CHARACTERS_PER_STEP);
  return text;
}

/** Another command, or another turn of one, begins. */
export function restEffort(): void {
  isLimited = true;
  forget();
}

function forget(): void {
  steps = 0;
  began = undefined;
}

/**
 * Runs what must not end half-way: once a document is stored, its entry in the oplog follows, whatever the command used
 * before. What is used meanwhile counts for the command.
 */
export function whole<T>(run: () => T): T {
  const before = isLimited;
  isLimited = false;
  try {
    return run();
  } finally {
    isLimited = before;
  }
}

/**
 * Runs what has to be done in one piece however long it takes: the reading of a data folder, an event about what is
 * stored. What follows has its own limit.
 */
export function unlimited<T>(run: () => T): T {
  try {
    return whole(run);
  } finally {
    forget();
  }
}

function look(): void {
  const longestMs = (LONGEST_LOOK_MS * steps) / STEPS_PER_LOOK;
  steps = 0;
  const now = performance.now();
  if (began === undefined) {
    began = { used: process.cpuUsage(), lookedAt: now, tookMs: 0 };
    setImmediate(forget);
    return;
  }
  began.tookMs += Math.min(now - began.lookedAt, longestMs);
  began.lookedAt = now;
  if (began.tookMs <= LIMIT_MS || !isLimited) return;
  // On a busy machine the clock goes on while nothing is computed here.
  const { user, system } = process.cpuUsage(began.used);
  if (user + system > LIMIT_MS * 1000) {
    throw new CommandError(CODES.MaxTimeMSExpired, 'operation exceeded time limit');
  }
}

/** @throws CommandError 10334 BSONObjectTooLarge for a text that no document can hold */
export function checkTextLength(length: number): void {
  if (length > MAX_TEXT) {
    throw new CommandError(
      CODES.BSONObjectTooLarge,
      `BSONObj size: ${length} is invalid. Size must be between 0 and ${MAX_TEXT}(16MB)`,
    );
  }
}

/** Counts what is held until the end of a stage. @throws what `refusal` makes once it is above the limit */
export function createHeld(refusal: () => CommandError): (value: unknown) => void {
  let bytes = 0;
  return (value) => {
    bytes += approximateBytes(value);
    if (bytes > MAX_HELD_BYTES) throw refusal();
  };
}

/** The refusal of a sort that would have to go to disk. */
export function sortTooLarge(): CommandError {
  return new CommandError(
    CODES.QueryExceededMemoryLimitNoDiskUseAllowed,
    `Sort exceeded memory limit of ${MAX_HELD_BYTES} bytes, but did not opt in to external sorting. Aborting operation. Pass allowDiskUse:true to opt in.`,
  );
}

/** Rough bytes of a value as the server counts what it holds. */
export function approximateBytes(value: unknown): number {
  spend();
  if (typeof value === 'string') return 24 + value.length;
  if (typeof value !== 'object' || value === null) return 16;
  if (Array.isArray(value)) {
    let bytes = 24;
    for (const item of value) bytes += approximateBytes(item);
    return bytes;
  }
  if ('_bsontype' in value || value instanceof Date) {
    return 'position' in value ? 24 + Number(value.position) : 24;
  }
  let bytes = 32;
  for (const [name, item] of Object.entries(value)) bytes += name.length + approximateBytes(item);
  return bytes;
}
