import { type Db, ObjectId } from 'mongodb';
import { type Finding, note, ok } from './findings.ts';

/** Documents that are looked at, the newest of the shared collection. */
const LOOKED_AT = 2_000;
/** Numbers in a row, newest first, from which a table's offset is told, and how far apart their ages may be. */
const IN_A_ROW = 5;
const MAX_SPREAD_MS = 30_000;

/**
 * Tables whose newest numbers are all dated long before they were inserted, as their ObjectIds tell: their scraper
 * writes local time without a zone, or has a wrong clock. Numbers older than `liveMaxAgeMs` are never live.
 */
export async function scraperClocks(database: Db, liveMaxAgeMs: number): Promise<Finding> {
  const about = 'clocks of the scrapers';
  const newest = database
    .collection('roleta_numeros')
    .find({}, { projection: { roleta_id: 1, timestamp: 1 } })
    .sort({ _id: -1 })
    .limit(LOOKED_AT);
  const ages = new Map<string, number[]>();
  for await (const { _id, roleta_id: table, timestamp } of newest) {
    if (!(_id instanceof ObjectId) || !(timestamp instanceof Date)) continue;
    const known = ages.get(String(table)) ?? [];
    if (known.length < IN_A_ROW)
      ages.set(String(table), [...known, _id.getTimestamp().getTime() - timestamp.getTime()]);
  }
  const late = [...ages].filter(
    ([, list]) =>
      list.length === IN_A_ROW &&
      Math.min(...list) > liveMaxAgeMs &&
      Math.max(...list) - Math.min(...list) <= MAX_SPREAD_MS,
  );
  if (late.length === 0) return ok(about, `no table of ${ages.size} is dated long before it is stored`);
  const found = late.map(([table, list]) => `${table} by ${Math.round(Math.min(...list) / 60_000)} min`).join(', ');
  return note(
    about,
    `dated too early: ${found}; such numbers are not published as live`,
    'write UTC, or a timestamp with its zone, and run NTP where the scraper runs',
  );
}
