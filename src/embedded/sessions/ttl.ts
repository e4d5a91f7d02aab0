import { CODES } from '../codes.ts';
import type { Engine, TtlMonitor } from '../engine.ts';
import { CommandError } from '../errors.ts';
import { createOperation, type Operation, yieldTurn } from '../operation.ts';
import { withPrefix } from '../storage/bounds.ts';
import type { Collection } from '../storage/collection.ts';
import type { CollectionIndex } from '../storage/collection-index.ts';
import { keyString, typeBracket } from '../storage/key-string.ts';
import { createDirectUnit } from './direct-unit.ts';
import { Locked } from './unit.ts';

/** What a timer can wait at most. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The first pass comes after `sleepSecs`; `canWrite` is asked before every deletion. Keeps no process alive. */
export function createTtlMonitor(engine: Engine, sleepSecs: number, canWrite: () => boolean): TtlMonitor {
  let timer: NodeJS.Timeout | undefined;
  let current: Operation | undefined;
  let stopped = false;

  const pass = async () => {
    const operation = createOperation();
    current = operation;
    try {
      await expireDocuments(engine, Date.now(), operation, canWrite);
    } catch (error) {
      // The server stops, or its disk takes nothing, which the journal tells; the next pass looks again.
      if (!(error instanceof CommandError)) throw error;
    } finally {
      current = undefined;
      schedule();
    }
  };
  const schedule = () => {
    clearTimeout(timer);
    if (!stopped && current === undefined)
      timer = setTimeout(() => void pass(), Math.min(sleepSecs * 1000, MAX_TIMER_MS)).unref();
  };

  schedule();
  return {
    get sleepSecs() {
      return sleepSecs;
    },
    set sleepSecs(seconds) {
      sleepSecs = seconds;
      schedule();
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
      current?.interrupt(new CommandError(CODES.ShutdownInProgress, 'The server is shutting down'));
    },
  };
}

/**
 * Deletes what TTL indexes say is old enough: dates only, the earliest of an array counts. Others get their turn in
 * between.
 *
 * @throws CommandError 14031 or 96 while the disk takes no writes; what the operation is interrupted with
 */
async function expireDocuments(
  engine: Engine,
  now: number,
  operation: Operation,
  canWrite: () => boolean,
): Promise<void> {
  for (const db of engine.catalog.databases()) {
    for (const collection of engine.catalog.collections(db)) {
      for (const index of [...collection.indexes.values()])
        await expireByIndex(engine, collection, index, now, operation, canWrite);
    }
  }
}

async function expireByIndex(
  engine: Engine,
  collection: Collection,
  index: CollectionIndex,
  now: number,
  operation: Operation,
  canWrite: () => boolean,
): Promise<void> {
  const { spec, keys } = index;
  if (spec.expireAfterSeconds === undefined) return;
  const unit = createDirectUnit(engine, false);
  const limit = keyString(new Date(now - spec.expireAfterSeconds * 1000));
  const old = withPrefix('', { low: typeBracket(limit).low, high: limit }, index.fields[0]);
  for (const { key, id } of keys.scan(old.low, old.high)) {
    await engine.whenRoom(operation);
    await yieldTurn(operation);
    // While others had their turn, anything may have happened: collMod, a drop, or a newer date in the document.
    if (!canWrite() || collection.dropped || collection.indexes.get(spec.name)?.spec !== spec) return;
    if (keys.get(key) !== id) continue;
    try {
      unit.remove(collection, id);
    } catch (error) {
      // Held by a transaction: the next pass looks again.
      if (!(error instanceof Locked)) throw error;
    }
  }
}
