import type { Document } from 'bson';
import { type Operation, yieldTurn } from '../operation.ts';
import type { DocumentTest } from '../query/path.ts';
import { decode } from '../values/bson.ts';
import type { Plan } from './plan.ts';
import { candidates, type View } from './view.ts';

export interface Match {
  readonly id: number;
  readonly raw: Buffer;
  readonly document: Document;
}

/** Pulls matching documents; others get their turn while it looks. */
export interface Search {
  /** At most `limit` further matches; fewer means that there are no more. */
  next(limit: number): Promise<Match[]>;
  /** Documents looked at so far. */
  readonly examined: number;
}

export function createSearch(view: View, plan: Plan, filter: DocumentTest, operation: () => Operation): Search {
  const source = candidates(view, plan);
  let examined = 0;
  return {
    get examined() {
      return examined;
    },
    async next(limit) {
      const matches: Match[] = [];
      while (matches.length < limit) {
        const step = source.next();
        if (step.done === true) break;
        examined += 1;
        const document = decode(step.value.raw);
        if (filter(document)) matches.push({ ...step.value, document });
        // After every one: a few large documents take longer than a turn may.
        const turn = yieldTurn(operation());
        if (turn !== undefined) await turn;
      }
      return matches;
    },
  };
}
