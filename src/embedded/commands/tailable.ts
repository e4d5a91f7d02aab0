import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import type { CursorSource } from '../cursors.ts';
import { badValue, CommandError } from '../errors.ts';
import { waitFor, yieldTurn } from '../operation.ts';
import { compileFilter } from '../query/filter.ts';
import { compileProjection } from '../query/projection.ts';
import type { Collection } from '../storage/collection.ts';
import { decode, encode } from '../values/bson.ts';
import type { CommandContext } from './command.ts';
import type { FindRequest } from './find-source.ts';

/**
 * A cursor that stays open at the end of a capped collection and goes on with what is inserted later.
 *
 * @throws CommandError 2 BadValue when the collection is not capped
 */
export function tailSource(
  context: CommandContext,
  collection: Collection,
  request: FindRequest,
  awaitsData: boolean,
): CursorSource {
  if (collection.options.capped === undefined) {
    throw badValue(
      `error processing query: tailable cursor requested on non capped collection ${collection.namespace}`,
    );
  }
  if (request.sort !== undefined) throw badValue('cannot use tailable option with a sort other than {$natural: 1}');
  const { oplog } = context.engine;
  const test = compileFilter(request.filter);
  const project =
    request.projection === undefined ? undefined : compileProjection(request.projection, { filter: test });
  const started = collection.records.size > 0;
  let last = 0;

  const lost = () =>
    new CommandError(
      CODES.CappedPositionLost,
      'CollectionScan died due to position in capped collection being deleted',
    );
  const output = (raw: Buffer, document: Document): Uint8Array =>
    project === undefined ? raw : encode(project(document));

  return {
    tailing: true,
    changeStream: false,
    async next(limit, operation, waitMs) {
      const deadline = Date.now() + (awaitsData ? waitMs : 0);
      for (;;) {
        const seen = oplog.nextSequence;
        const documents: Uint8Array[] = [];
        if (collection.dropped) return { documents, done: true };
        if (last > 0 && !collection.records.has(last)) throw lost();
        for (const [id, raw] of collection.records) {
          if (documents.length >= limit) break;
          if (id <= last) continue;
          last = id;
          const document = decode(raw);
          if (test(document)) documents.push(output(raw, document));
          await yieldTurn(operation);
        }
        const left = deadline - Date.now();
        if (documents.length > 0 || left <= 0) return { documents, done: !started && last === 0 };
        await waitFor(operation, (callback) => oplog.whenAppended(seen, callback), left);
      }
    },
  };
}
