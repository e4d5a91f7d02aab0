import { ObjectId } from 'bson';

/** Whether this one-node replica set has a primary now, and what drivers are told about it. */
export interface Replication {
  readonly standalone: boolean;
  readonly isPrimary: boolean;
  readonly term: number;
  readonly electionId: ObjectId;
  /** Rises with every change that a driver should hear of. */
  readonly topologyCounter: number;
  readonly processId: ObjectId;
  /** The term to begin with. */
  begin(firstTerm: number): void;
  /** Steps down now and is elected again after the given time. */
  stepDown(forMs: number): void;
  /** Waits for a topology other than the one that `counter` names. */
  whenChanged(counter: number, callback: () => void): () => void;
  stop(): void;
}

/** How long the set's only node needs to elect itself, as seen on a real one. */
const ELECTION_MS = 20;

/** `onElected` runs when a new term begins, before drivers hear of it. */
export function createReplication(standalone: boolean, onElected: (term: number) => void): Replication {
  const processId = new ObjectId();
  const waiting = new Set<() => void>();
  let isPrimary = true;
  let term = 1;
  let counter = standalone ? 0 : 6;
  let timer: NodeJS.Timeout | undefined;

  const changed = () => {
    counter += 1;
    for (const callback of [...waiting]) callback();
    waiting.clear();
  };

  return {
    standalone,
    processId,
    get isPrimary() {
      return isPrimary;
    },
    get term() {
      return term;
    },
    get electionId() {
      return new ObjectId(`7fffffff${term.toString(16).padStart(16, '0')}`);
    },
    get topologyCounter() {
      return counter;
    },
    begin(firstTerm) {
      term = firstTerm;
    },
    stepDown(forMs) {
      if (!isPrimary) return;
      isPrimary = false;
      changed();
      clearTimeout(timer);
      timer = setTimeout(() => {
        term += 1;
        isPrimary = true;
        onElected(term);
        changed();
      }, forMs + ELECTION_MS);
    },
    whenChanged(known, callback) {
      if (known !== counter) {
        callback();
        return () => undefined;
      }
      waiting.add(callback);
      return () => waiting.delete(callback);
    },
    stop: () => clearTimeout(timer),
  };
}
