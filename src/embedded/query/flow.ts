import type { Document } from 'bson';

/** Stands between the documents of a pipeline where it may be left alone for a while, so that others get their turn. */
export const PAUSE: unique symbol = Symbol('pause');
export type Pause = typeof PAUSE;

/** What runs through a pipeline. */
export type Flow = Iterable<Document | Pause>;

/** A stage of a pipeline over all its documents; it hands on the pauses that it meets. */
export type Stage = (documents: Flow) => Flow;

/** Says when a pipeline has run long enough in one piece. */
export interface Pulse {
  readonly isDue: () => boolean;
}

/** For pipelines that nobody waits beside, such as those over one document. */
export const UNHURRIED: Pulse = { isDue: () => false };

/** A pulse that is due when `turnMs` have passed since it last was. */
export function createPulse(turnMs: number): Pulse {
  let ends = performance.now() + turnMs;
  return {
    isDue() {
      if (performance.now() < ends) return false;
      // The pause itself may take long: the next turn is counted from the first look after it.
      ends = Number.POSITIVE_INFINITY;
      queueMicrotask(() => {
        ends = performance.now() + turnMs;
      });
      return true;
    },
  };
}

/** The documents of a flow, each handed to `take`; the pauses between them are handed on. */
export function* forEach(flow: Flow, take: (document: Document) => void): Generator<Pause, void> {
  for (const document of flow) {
    if (document === PAUSE) yield PAUSE;
    else take(document);
  }
}

/** Holds all documents of a flow. */
export function* gather(flow: Flow): Generator<Pause, Document[]> {
  const documents: Document[] = [];
  yield* forEach(flow, (document) => documents.push(document));
  return documents;
}

/** A flow's documents, run in one piece. */
export function drained(flow: Flow): Document[] {
  const documents: Document[] = [];
  for (const document of flow) if (document !== PAUSE) documents.push(document);
  return documents;
}

const RUN_LENGTH = 512;

/** Sorts as `Array.sort` does, equal rows in their order, with pauses. @returns a new array */
export function* sorted<T>(
  rows: readonly T[],
  compare: (a: T, b: T) => number,
  pulse: Pulse,
): Generator<Pause, readonly T[]> {
  let runs: T[][] = [];
  for (let at = 0; at < rows.length; at += RUN_LENGTH) {
    runs.push(rows.slice(at, at + RUN_LENGTH).sort(compare));
    if (pulse.isDue()) yield PAUSE;
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let at = 0; at < runs.length; at += 2)
      merged.push(yield* mergeRuns(runs[at] ?? [], runs[at + 1] ?? [], compare, pulse));
    runs = merged;
  }
  return runs[0] ?? [];
}

function* mergeRuns<T>(
  left: readonly T[],
  right: readonly T[],
  compare: (a: T, b: T) => number,
  pulse: Pulse,
): Generator<Pause, T[]> {
  const merged: T[] = [];
  let at = 0;
  for (const row of left) {
    for (let other = right[at]; other !== undefined && compare(other, row) < 0; other = right[at]) {
      merged.push(other);
      at += 1;
    }
    merged.push(row);
    if (pulse.isDue()) yield PAUSE;
  }
  return merged.concat(right.slice(at));
}
