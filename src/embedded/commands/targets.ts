import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import type { Collection } from '../storage/collection.ts';

/** @throws CommandError 166 CommandNotSupportedOnView */
export function rejectView(collection: Collection | undefined): void {
  if (collection?.options.view === undefined) return;
  throw new CommandError(
    CODES.CommandNotSupportedOnView,
    `Namespace ${collection.namespace} is a view, not a collection`,
  );
}
