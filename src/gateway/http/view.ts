import { ProtocolError } from '../../protocol/errors.ts';
import { isTableId, type TableId } from '../../roulette/table.ts';
import { type Grant, maySee, OPEN_GRANT, visibleOf } from '../door/access.ts';
import { withHeaders } from '../door/answer.ts';
import { tokenOf } from '../door/door.ts';
import type { Exchange } from '../door/exchange.ts';
import type { Authenticator } from '../door/jwt.ts';
import type { HttpDeps, TableDetail, TableOverview } from './deps.ts';
import type { Respond } from './route.ts';

/** The tables as one caller sees them. Routes read tables by this alone, so that none can show more than it may. */
export interface View {
  /** Every known table that the caller may see, ascending by id. */
  tables(): readonly TableOverview[];
  table(table: TableId): TableDetail | null;
  /** The tables that a reference means, of those that the caller may see: what it may not see is unknown to it. */
  resolve(reference: string): readonly TableId[];
  /** The tables that the caller may see, known or not; null is all. */
  readonly allowed: readonly TableId[] | null;
}

/** Answers a request of which the caller is known. */
type RespondTo = (view: View, exchange: Exchange) => ReturnType<Respond>;

/** Makes a route of table data: it asks who calls, and hands on what that caller may see. */
export type Reads = (respond: RespondTo) => Respond;

type ViewDeps = Pick<HttpDeps, 'tables' | 'table' | 'resolve'>;

function viewOf(deps: ViewDeps, grant: Grant): View {
  const { allowed } = grant;
  return {
    tables: allowed === null ? deps.tables : () => deps.tables().filter(({ roleta_id }) => maySee(grant, roleta_id)),
    table: (table) => (maySee(grant, table) ? deps.table(table) : null),
    resolve: (reference) => visibleOf(grant, deps.resolve(reference)),
    // Ids as they are, never references: a table that is named like one of them is another table.
    allowed: allowed === null ? null : [...allowed].filter(isTableId),
  };
}

/** Of answers that depend on who asks: no cache that others share may keep them. */
const PRIVATE = { 'Cache-Control': 'private, no-store', Vary: 'Authorization, Origin' } as const;

/**
 * Where subscribers need a token, readers need one too, in the same places and with the same claims; `publicReads` says
 * that everybody may read nevertheless. The routes throw ProtocolError `unauthorized`.
 */
export function readsOf(deps: ViewDeps, authenticator: Authenticator | null, publicReads: boolean): Reads {
  if (authenticator === null || publicReads) {
    const everything = viewOf(deps, OPEN_GRANT);
    return (respond) => (exchange) => respond(everything, exchange);
  }
  return (respond) => async (exchange) => {
    const token = tokenOf(exchange.header('authorization'), '', exchange.query);
    if (token === null) throw new ProtocolError('unauthorized');
    const grant = await authenticator.authenticate(token);
    const answer = await respond(viewOf(deps, grant), exchange);
    // The answer may have waited for an event, and portions go on for long: the token may expire meanwhile, or be revoked.
    const check = (): void => authenticator.recheck(grant);
    if (answer.rest === undefined) check();
    return { ...withHeaders(answer, PRIVATE), check };
  };
}
