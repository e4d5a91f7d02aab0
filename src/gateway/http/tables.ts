import { json, jsonText } from '../door/answer.ts';
import { keptForItsCost } from '../door/kept.ts';
import type { HttpDeps, TableOverview } from './deps.ts';
import { healthOf, needReady } from './health.ts';
import { ID, namesOf, ofTable } from './one-table.ts';
import type { Operation, Route } from './route.ts';
import { TABLE_LIST, TABLE_STATE, TABLE_STRATEGY } from './schemas.ts';
import type { Reads, View } from './view.ts';

type TablesDeps = Pick<HttpDeps, 'feedStatus' | 'databaseOk' | 'builtinMongo' | 'draining'>;

const OPERATIONS = {
  list: {
    group: 'Tables',
    access: 'tables',
    summary: 'Every table with its last number and strategy',
    answers: { '200': TABLE_LIST },
    errors: [503],
  },
  state: {
    group: 'Tables',
    access: 'tables',
    summary: 'One table with its last numbers, and the position to subscribe from',
    parameters: [ID],
    answers: { '200': TABLE_STATE },
    errors: [400, 404, 503],
  },
  strategy: {
    group: 'Tables',
    access: 'tables',
    summary: 'The strategy state of a table; null when it has none',
    parameters: [ID],
    answers: { '200': TABLE_STRATEGY },
    errors: [400, 404, 503],
  },
} as const satisfies Record<string, Operation>;

/** The fields of the list, whatever else the state of a table holds. */
const overviewOf = ({ roleta_id, roleta_nome, uuid, ultimo, estrategia, ...rest }: TableOverview): TableOverview => ({
  roleta_id,
  roleta_nome,
  uuid,
  ultimo,
  estrategia,
  ...(rest.duplo_zero === undefined ? {} : { duplo_zero: rest.duplo_zero }),
});

/** `GET /api/v1/tables`, and one of them. `:id` is an id in any spelling, a UUID, or a name of one table. */
export function tableRoutes(deps: TablesDeps, reads: Reads): Route[] {
  const list = (tables: readonly TableOverview[]): string =>
    JSON.stringify({ tables: tables.map(overviewOf), stale: !healthOf(deps).live });
  const wholeList = keptForItsCost(
    (view: View) => Buffer.from(list(view.tables())),
    (view) => view.tables(),
  );
  const of = ofTable(deps, reads);
  return [
    {
      pattern: '/api/v1/tables',
      operations: { get: OPERATIONS.list },
      get: reads((view) => {
        needReady(deps);
        // What everybody may see is the same for everybody, and encoded once for as long as that took.
        return jsonText(200, view.allowed === null ? wholeList(view) : list(view.tables()));
      }),
    },
    {
      pattern: '/api/v1/tables/:id',
      operations: { get: OPERATIONS.state },
      get: of((state) => json(200, state)),
    },
    {
      pattern: '/api/v1/tables/:id/strategy',
      operations: { get: OPERATIONS.strategy },
      get: of((state) => json(200, { ...namesOf(state), estrategia: state.estrategia, stale: state.stale })),
    },
  ];
}
