import { type Document, Int32 } from 'bson';
import { CODES } from './codes.ts';
import { badValue, CommandError, failedToParse } from './errors.ts';
import { toNumber } from './values/numbers.ts';
import { isDocument } from './values/types.ts';

/** What an active fail point does to the command that meets it. */
export interface Failure {
  readonly errorCode?: number;
  readonly closeConnection: boolean;
  readonly blockMs: number;
  readonly writeConcernError?: Document;
  readonly errorLabels?: readonly string[];
}

export interface FailPoints {
  /** @throws CommandError 266 FailPointSetFailed for an unknown name, 2 or 9 for bad settings */
  configure(name: string, mode: unknown, data: Document): number;
  /** The failure for a command about to run; counts as one activation. */
  forCommand(command: string, namespace: string | undefined, appName: string | undefined): Failure | undefined;
  forGetMore(): Failure | undefined;
  /** Calls back when the fail point, if it is on for the namespace, is turned off; the returned function gives up. */
  whenOff(name: WaitPoint, callback: () => void): () => void;
  /** Whether commands on the namespace are to wait there until it is turned off. */
  waitsAt(name: WaitPoint, namespace: string): boolean;
  /** How many entries of the oplog a change stream may look at in a second. */
  readonly scanRate: number | undefined;
  /** For a statement of a retryable write that is about to take effect: an `errorCode` means that it must not. */
  forRetryableStatement(): Failure | undefined;
}

interface FailPoint {
  readonly data: Document;
  times: number;
  skip: number;
  entered: number;
}

/**
 * Places where a command waits while the fail point is on, as on the server (its tests block on them): `nss` in its
 * data limits it to one namespace. The last is of this server only: cursors at its secondary address wait, as on a member
 * that is behind.
 */
const WAIT_POINTS = [
  'waitInFindBeforeMakingBatch',
  'waitAfterPinningCursorBeforeGetMoreBatch',
  'runcashTestDelaySecondary',
] as const;
export type WaitPoint = (typeof WAIT_POINTS)[number];

/** Of this server only, `data: {entriesPerSecond: n}`: a real one is slow over an oplog of gigabytes by itself. */
const SCAN_RATE = 'runcashTestScanRate';

const NAMES: readonly string[] = [
  'failCommand',
  'failGetMoreAfterCursorCheckout',
  'onPrimaryTransactionalWrite',
  SCAN_RATE,
  ...WAIT_POINTS,
];

function parseMode(mode: unknown): { times: number; skip: number } | undefined {
  if (mode === 'off') return undefined;
  if (mode === 'alwaysOn') return { times: Number.POSITIVE_INFINITY, skip: 0 };
  if (isDocument(mode)) {
    const times = toNumber(mode['times']);
    const skip = toNumber(mode['skip']);
    const chance = toNumber(mode['activationProbability']);
    if (times !== undefined && times >= 0) return { times, skip: 0 };
    if (skip !== undefined && skip >= 0) return { times: Number.POSITIVE_INFINITY, skip };
    if (chance !== undefined) throw badValue("This server has no fail point mode 'activationProbability'");
  }
  throw failedToParse("mode must be 'off', 'alwaysOn', {times: n} or {skip: n}");
}

export function createFailPoints(): FailPoints {
  const active = new Map<string, FailPoint>();
  const entered = new Map<string, number>();
  const waiting = new Map<string, Set<() => void>>();

  const hit = (name: string): Document | undefined => {
    const point = active.get(name);
    if (point === undefined) return undefined;
    if (point.skip > 0) {
      point.skip -= 1;
      return undefined;
    }
    point.times -= 1;
    entered.set(name, (entered.get(name) ?? 0) + 1);
    if (point.times <= 0) active.delete(name);
    return point.data;
  };

  return {
    configure(name, mode, data) {
      if (!NAMES.includes(name)) throw new CommandError(CODES.FailPointSetFailed, `${name} not found`);
      const parsed = parseMode(mode);
      if (name === SCAN_RATE && parsed !== undefined && !((toNumber(data['entriesPerSecond']) ?? 0) > 0))
        throw badValue(`${SCAN_RATE} needs data: {entriesPerSecond: number above 0}`);
      if (parsed === undefined || parsed.times === 0) {
        active.delete(name);
        for (const callback of waiting.get(name) ?? []) callback();
        waiting.delete(name);
      } else active.set(name, { data, ...parsed, entered: 0 });
      return entered.get(name) ?? 0;
    },
    forCommand(command, namespace, appName) {
      const data = active.get('failCommand')?.data;
      if (data === undefined || command === 'configureFailPoint') return undefined;
      const commands: unknown = data['failCommands'];
      if (!Array.isArray(commands) || !commands.includes(command)) return undefined;
      if (data['appName'] !== undefined && data['appName'] !== appName) return undefined;
      if (data['namespace'] !== undefined && data['namespace'] !== namespace) return undefined;
      const met = hit('failCommand');
      return met === undefined ? undefined : failureOf(met);
    },
    waitsAt(name, namespace) {
      const data = active.get(name)?.data;
      if (data === undefined || (data['nss'] !== undefined && data['nss'] !== namespace)) return false;
      return hit(name) !== undefined;
    },
    whenOff(name, callback) {
      const callbacks = waiting.get(name) ?? new Set();
      waiting.set(name, callbacks.add(callback));
      return () => callbacks.delete(callback);
    },
    get scanRate() {
      return toNumber(active.get(SCAN_RATE)?.data['entriesPerSecond']);
    },
    forRetryableStatement() {
      const met = hit('onPrimaryTransactionalWrite');
      if (met === undefined) return undefined;
      const errorCode = toNumber(met['failBeforeCommitExceptionCode']);
      return {
        closeConnection: met['closeConnection'] !== false,
        blockMs: 0,
        ...(errorCode === undefined ? {} : { errorCode }),
      };
    },
    forGetMore() {
      const met = hit('failGetMoreAfterCursorCheckout');
      return met === undefined ? undefined : failureOf(met);
    },
  };
}

function failureOf(data: Document): Failure {
  const errorCode = toNumber(data['errorCode']);
  const blockMs = data['blockConnection'] === true ? toNumber(data['blockTimeMS']) : 0;
  if (blockMs === undefined)
    throw new CommandError(CODES.InvalidOptions, "must specify 'blockTimeMS' when 'blockConnection' is true");
  const labels: unknown = data['errorLabels'];
  const writeConcernError: unknown = data['writeConcernError'];
  return {
    closeConnection: data['closeConnection'] === true,
    blockMs,
    ...(errorCode === undefined ? {} : { errorCode }),
    ...(isDocument(writeConcernError) ? { writeConcernError: plainCode(writeConcernError) } : {}),
    ...(Array.isArray(labels) ? { errorLabels: labels.map(String) } : {}),
  };
}

function plainCode(error: Document): Document {
  return { ...error, code: new Int32(toNumber(error['code']) ?? 0) };
}
