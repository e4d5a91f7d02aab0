import { ProtocolError } from '../../protocol/errors.ts';
import { tableReference } from '../../protocol/messages.ts';
import type { TableId } from '../../roulette/table.ts';
import type { Exchange } from '../door/exchange.ts';
import type { HttpDeps, TableDetail } from './deps.ts';
import { needReady } from './health.ts';
import type { Parameter, Respond } from './route.ts';
import type { Reads, View } from './view.ts';

/** What `:id` of a pattern means. */
export const ID: Parameter = {
  name: 'id',
  in: 'path',
  required: true,
  about: 'The id, a prefixed id, the UUID, or a name that only one table bears (several: 400 with their ids).',
};

/**
 * The one table that a reference means. Throws `unknown_table`; or `invalid` for a name that several tables bear, whose
 * ids the problem lists.
 */
export function oneTable(view: View, reference: string): TableDetail {
  const known = view.resolve(reference);
  // An id may begin as a topic does.
  const ids: readonly TableId[] = known.length > 0 ? known : view.resolve(tableReference(reference) ?? reference);
  const [id] = ids;
  if (id === undefined) throw unknownTable(view);
  if (ids.length > 1) {
    const message = `${ids.length} tables have this name: ${ids.join(', ')}; ask with one of these ids`;
    throw new ProtocolError('invalid', { problems: [{ path: 'id', message }] });
  }
  const state = view.table(id);
  if (state === null) throw unknownTable(view);
  return state;
}

/** One answer for a table that is not there and for one that the caller may not see. */
const unknownTable = ({ allowed }: View): ProtocolError =>
  new ProtocolError(
    'unknown_table',
    allowed === null ? {} : { message: 'No table that this token may see has this id, name or UUID.' },
  );

/** Answers for the table that `:id` means, as its caller sees it. */
type OfTable = (respond: (table: TableDetail, exchange: Exchange) => ReturnType<Respond>) => Respond;

export const ofTable =
  (deps: Pick<HttpDeps, 'feedStatus'>, reads: Reads): OfTable =>
  (respond) =>
    reads((view, exchange) => {
      needReady(deps);
      return respond(oneTable(view, exchange.params[0] ?? ''), exchange);
    });

export const namesOf = ({ roleta_id, roleta_nome }: TableDetail) => ({ roleta_id, roleta_nome });
