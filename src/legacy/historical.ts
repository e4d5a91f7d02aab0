import { z } from 'zod';
import { jsonText } from '../gateway/door/answer.ts';
import { keptForItsCost } from '../gateway/door/kept.ts';
import { needReady } from '../gateway/http/health.ts';
import type { Operation, Route } from '../gateway/http/route.ts';
import type { RouteTools } from '../gateway/http/routes.ts';
import { named } from '../gateway/http/schemas.ts';
import type { View } from '../gateway/http/view.ts';
import { tableId, time, wheelNumber } from '../protocol/message-schemas.ts';
import { LEGACY_ERROR } from './emit-event.ts';
import { type Roulette, rouletteOf } from './payloads.ts';

/** Numbers of each table; as many as are held in memory. */
const HISTORY = 200;

const ROULETTE = z.strictObject({
  id: tableId,
  nome: z.string(),
  provider: z.string(),
  status: z.enum(['online', 'offline']),
  numeros: z.array(wheelNumber),
  ultimoNumero: wheelNumber.nullable(),
  timestamp: time.nullable(),
}) satisfies z.ZodType<Roulette>;

const HISTORICAL: Operation = {
  group: 'Legacy',
  access: 'tables',
  summary: 'Every table with its last 200 numbers',
  answers: {
    '200': named('LegacyHistorical', z.strictObject({ success: z.literal(true), data: z.array(ROULETTE) })),
  },
  errors: [503],
  errorSchema: LEGACY_ERROR,
};

/** `GET /api/historical/all-roulettes`, which RunCash's later clients ask once. */
export function historicalRoute({ deps, reads }: Pick<RouteTools, 'deps' | 'reads'>): Route {
  const all = (view: View): string => {
    const tables = view.tables().flatMap(({ roleta_id }) => view.table(roleta_id) ?? []);
    return JSON.stringify({ success: true, data: tables.map((table) => rouletteOf(table, HISTORY)) });
  };
  const forEverybody = keptForItsCost(all);
  return {
    pattern: '/api/historical/all-roulettes',
    operations: { get: HISTORICAL },
    get: reads((view) => {
      needReady(deps);
      return jsonText(200, view.allowed === null ? forEverybody(view) : all(view));
    }),
  };
}
