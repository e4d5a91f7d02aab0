import { MongoError, MongoServerError, MongoServerSelectionError } from 'mongodb';

/** What the supervisor does about an error of the stream. */
export type ErrorClass = 'transient' | 'history_gone' | 'token' | 'too_large' | 'configuration';

interface Entry {
  readonly class: ErrorClass;
  /** What an operator reads before the server's own message. */
  readonly words?: string;
}

const UNKNOWN_STAGE = 40324;

/**
 * The error policy, one table. Every code that is not here is transient: re-opened with backoff, and counted, because
 * giving up on an error that nobody foresaw is how a stream stays dead.
 */
const POLICY: ReadonlyMap<number, Entry> = new Map<number, Entry>([
  [136, { class: 'history_gone' }], // CappedPositionLost: the open cursor was overtaken
  [286, { class: 'history_gone' }], // ChangeStreamHistoryLost
  [40576, { class: 'history_gone' }],
  [47, { class: 'token' }], // NoMatchingDocument
  [260, { class: 'token' }], // InvalidResumeToken
  [280, { class: 'token' }], // ChangeStreamFatalError
  [40585, { class: 'token' }],
  [10334, { class: 'too_large' }], // BSONObjectTooLarge
  [
    13,
    {
      class: 'configuration',
      words: 'the user lacks a privilege: it needs find and changeStream, and to write _rt_meta and the numbers',
    },
  ],
  [18, { class: 'configuration', words: 'MongoDB refused the user or password' }],
  [94, { class: 'configuration', words: 'the replica set is not initiated' }],
  [
    40573,
    {
      class: 'configuration',
      words: 'this MongoDB is a standalone server; change streams need a replica set (start it with --replSet)',
    },
  ],
  [UNKNOWN_STAGE, { class: 'configuration', words: 'this MongoDB does not know a stage of the change stream' }],
]);

export interface ClassifiedError {
  readonly class: ErrorClass;
  /** The server's code, or null for a network or selection error. */
  readonly code: number | null;
  /** A short name for counting: the code's name, or the driver's error name. */
  readonly name: string;
  readonly words: string;
}

/** Classifies whatever the driver threw while the stream was opened or read. */
export function classify(error: unknown): ClassifiedError {
  if (error instanceof MongoServerError && typeof error.code === 'number') {
    const entry = POLICY.get(error.code);
    return {
      class: entry?.class ?? 'transient',
      code: error.code,
      name: typeof error.codeName === 'string' ? error.codeName : `code_${error.code}`,
      words: entry?.words === undefined ? error.message : `${entry.words}: ${error.message}`,
    };
  }
  if (error instanceof MongoServerSelectionError && error.reason?.servers.size === 0) {
    // The driver drops servers that do not fit the address from its list, and says no more about it.
    const words =
      'no member of the replica set was found at this address: is it a standalone server, or the set of another name?';
    return { class: 'configuration', code: null, name: error.name, words };
  }
  const name = error instanceof MongoError ? error.name : error instanceof Error ? error.constructor.name : 'unknown';
  return { class: 'transient', code: null, name, words: error instanceof Error ? error.message : String(error) };
}

/** Whether the server does not know a stage of the pipeline. */
export const isUnknownStage = (error: ClassifiedError): boolean => error.code === UNKNOWN_STAGE;

/** Full jitter: uniform in [0, min(cap, base * 2^attempt)], in ms. `random` is in [0, 1). */
export const backoffMs = (attempt: number, random: number, baseMs: number, capMs: number): number =>
  random * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 16));
