import { CODES } from './codes.ts';
import { CommandError } from './errors.ts';
import { restEffort } from './values/effort.ts';

/** One command being run: what may end it before its time. */
export interface Operation {
  readonly id: number;
  readonly startedAt: number;
  /** From `maxTimeMS`; a getMore has what its cursor has left of it. */
  deadline: number | undefined;
  /** When others are to get their turn, by `performance.now()`. */
  turnEnds: number;
  /** @throws the error it was interrupted with, or 50 MaxTimeMSExpired */
  check(): void;
  interrupt(error: CommandError): void;
  onInterrupt(callback: (error: CommandError) => void): () => void;
}

/** How long a command may hold the process before others get a turn. */
export const TURN_MS = 8;

let nextId = 1;

export function createOperation(): Operation {
  // Most commands end without anything that could be interrupted.
  let callbacks: Set<(error: CommandError) => void> | undefined;
  let interruption: CommandError | undefined;
  restEffort();
  const id = nextId;
  nextId += 1;
  const operation: Operation = {
    id,
    startedAt: Date.now(),
    deadline: undefined,
    turnEnds: performance.now() + TURN_MS,
    check() {
      if (interruption !== undefined) throw interruption;
      if (operation.deadline !== undefined && Date.now() >= operation.deadline) throw timeLimit();
    },
    interrupt(error) {
      if (interruption !== undefined) return;
      interruption = error;
      const waiting = callbacks ?? [];
      callbacks = undefined;
      for (const callback of waiting) callback(error);
    },
    onInterrupt(callback) {
      if (interruption !== undefined) {
        callback(interruption);
        return () => undefined;
      }
      callbacks ??= new Set();
      callbacks.add(callback);
      return () => callbacks?.delete(callback);
    },
  };
  return operation;
}

/** What is left of the time that the operation may take, ms; undefined when it has no limit. */
export const timeLeft = ({ deadline }: Operation): number | undefined =>
  deadline === undefined ? undefined : Math.max(0, deadline - Date.now());

function timeLimit(): CommandError {
  return new CommandError(CODES.MaxTimeMSExpired, 'operation exceeded time limit');
}

/**
 * Waits until `register` is called back, at most `timeoutMs`.
 *
 * @returns whether it was called back in time.
 * @throws what the operation is interrupted with; 50 when its own time limit ends first.
 */
export function waitFor(
  operation: Operation,
  register: (callback: () => void) => () => void,
  timeoutMs?: number,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const left = operation.deadline === undefined ? Number.POSITIVE_INFINITY : operation.deadline - Date.now();
    const limit = Math.min(left, timeoutMs ?? Number.POSITIVE_INFINITY);
    let timer: NodeJS.Timeout | undefined;
    let cancel: () => void = () => undefined;
    let over = false;
    const settle = (finish: () => void) => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      cancel();
      forget();
      finish();
    };
    let forget: () => void = () => undefined;
    forget = operation.onInterrupt((error) => settle(() => reject(error)));
    if (over) return;
    if (Number.isFinite(limit)) {
      const expired = () =>
        settle(() => (left <= (timeoutMs ?? Number.POSITIVE_INFINITY) ? reject(timeLimit()) : resolve(false)));
      timer = setTimeout(expired, Math.max(0, Math.min(limit, 2 ** 31 - 1)));
    }
    cancel = register(() => settle(() => resolve(true)));
    if (over) cancel();
  });
}

/** A sleep that the operation's end cuts short. */
export async function pause(operation: Operation, milliseconds: number): Promise<void> {
  await waitFor(operation, () => () => undefined, milliseconds);
}

/** Lets others run. @throws what the operation is interrupted with; 50 when its time is over */
export async function nextTurn(operation: Operation): Promise<void> {
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  operation.turnEnds = performance.now() + TURN_MS;
  restEffort();
  operation.check();
}

/** Lets others run when the operation's turn is over; undefined when it is not. */
export function yieldTurn(operation: Operation): Promise<void> | undefined {
  if (performance.now() < operation.turnEnds) return undefined;
  return nextTurn(operation);
}
