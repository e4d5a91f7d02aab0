import type { Document } from 'bson';
import type { StringOrder } from '../values/compare.ts';
import { createHeld, sortTooLarge } from '../values/effort.ts';
import { PAUSE, type Pulse, type Stage, sorted } from './flow.ts';
import { sortReader } from './sort.ts';

/**
 * A stage that sorts, with pauses; equal documents keep their order.
 *
 * @throws CommandError as sortKeys
 */
export function sortStage(spec: Document, pulse: Pulse, strings?: StringOrder): Stage {
  const { read, compare } = sortReader(spec, strings);
  return function* sort(documents) {
    const rows: ReturnType<typeof read>[] = [];
    const hold = createHeld(sortTooLarge);
    for (const document of documents) {
      if (document === PAUSE || pulse.isDue()) yield PAUSE;
      if (document === PAUSE) continue;
      hold(document);
      rows.push(read(document));
    }
    for (const { document } of yield* sorted(rows, compare, pulse)) {
      yield document;
      if (pulse.isDue()) yield PAUSE;
    }
  };
}
