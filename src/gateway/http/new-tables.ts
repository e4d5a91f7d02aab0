import { ProtocolError } from '../../protocol/errors.ts';
import type { InsertResult } from '../../roulette/ingest.ts';
import type { TableId } from '../../roulette/table.ts';
import type { HttpDeps } from './deps.ts';

type Insert<T> = (items: readonly T[]) => Promise<readonly InsertResult[]>;

/** How long a table that was posted is counted before the stream has told of it. */
const UNSEEN_MS = 60_000;

/** Whether a post may be for this table: it is known, or there is room for one more. */
function roomFor(deps: Pick<HttpDeps, 'nameOf' | 'feedStatus'>, maxTables: number): (table: TableId) => boolean {
  /** Posted and not seen yet: when, in monotonic milliseconds. */
  const unseen = new Map<TableId, number>();
  const isFull = (): boolean => deps.feedStatus().tables + unseen.size >= maxTables;
  const forget = (now: number): void => {
    for (const [table, at] of unseen) if (deps.nameOf(table) !== null || now - at > UNSEEN_MS) unseen.delete(table);
  };
  return (table) => {
    if (unseen.has(table) || deps.nameOf(table) !== null) return true;
    const now = performance.now();
    if (isFull()) forget(now);
    if (isFull()) return false;
    unseen.set(table, now);
    return true;
  };
}

/**
 * Any seven digits are a table, and every table costs everybody who lists them. Inserts what is for a known table or for
 * one that there is room for; the others have the error `invalid`, each for itself.
 */
export function limitTables(deps: Pick<HttpDeps, 'nameOf' | 'feedStatus'>, maxTables: number) {
  const mayBring = roomFor(deps, maxTables);
  const message = `is not known, and there are ${maxTables} tables already (MAX_TABLES)`;
  const tooMany = (): InsertResult => ({
    status: 'error',
    error: new ProtocolError('invalid', { problems: [{ path: 'roleta_id', message }] }),
  });
  return <T extends { readonly table: TableId }>(insert: Insert<T>): Insert<T> =>
    async (items) => {
      const fits = items.map(({ table }) => mayBring(table));
      const fitting = items.filter((_, at) => fits[at]);
      const stored = fitting.length === 0 ? [] : await insert(fitting);
      let at = 0;
      return fits.flatMap((fit) => (fit ? stored.slice(at, ++at) : [tooMany()]));
    };
}
