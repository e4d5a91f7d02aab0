import { waitFor } from '../operation.ts';
import type { Collection } from '../storage/collection.ts';
import type { CommandContext } from './command.ts';

/** A change of the catalog waits for the transactions that have written to the collection, as its lock would. */
export async function untilFree(
  context: CommandContext,
  ...collections: readonly (Collection | undefined)[]
): Promise<void> {
  const { locks } = context.engine;
  for (;;) {
    let holder: ReturnType<typeof locks.writer>;
    for (const collection of collections) if (collection !== undefined) holder ??= locks.writer(collection);
    if (holder === undefined) return;
    const { whenEnded } = holder;
    await waitFor(context.operation, whenEnded);
  }
}
