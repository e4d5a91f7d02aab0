import type { Feed } from '../feed/feed.ts';
import { keptForItsCost } from '../gateway/door/kept.ts';
import type { HttpDeps, TableDetail, TableOverview } from '../gateway/http/deps.ts';
import { wheelOf } from '../roulette/colour.ts';
import { type TableId, uuidOf } from '../roulette/table.ts';

/** Numbers that one table's page shows. */
const HISTORY = 200;

export type Reader = Pick<HttpDeps, 'resolve' | 'nameOf' | 'tables' | 'table'>;

/** What HTTP readers ask of the feed's state: from memory, also while MongoDB is away. */
export function readFeed(feed: Feed): Reader {
  const overview = (table: TableId): TableOverview | null => {
    const state = feed.tables();
    if (state === null) return null;
    return {
      roleta_id: table,
      roleta_nome: state.nameOf(table),
      uuid: uuidOf(table),
      ultimo: state.numbers(table, 1)[0] ?? null,
      estrategia: state.strategyItem(table),
      ...wheelOf(state.isDoubleZero(table)),
    };
  };
  const knows = (table: TableId): boolean => {
    const state = feed.tables();
    return state !== null && (state.numbers(table, 1).length > 0 || state.strategyItem(table) !== null);
  };
  return {
    resolve: (reference) => feed.tables()?.directory.resolve(reference) ?? [],
    nameOf: (table) => (knows(table) ? (feed.tables()?.nameOf(table) ?? null) : null),
    tables: keptForItsCost(() => (feed.tables()?.tables() ?? []).map(overview).filter((table) => table !== null)),
    table(table): TableDetail | null {
      const own = knows(table) ? overview(table) : null;
      const standing = feed.standing();
      const state = feed.tables();
      if (own === null || state === null) return null;
      return {
        ...own,
        epoch: standing?.epoch ?? '',
        position: standing?.position ?? '',
        stale: standing === null || feed.status().phase !== 'live',
        numeros: state.numbers(table, HISTORY),
      };
    },
  };
}
