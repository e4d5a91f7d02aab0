import { cellsOf, csvLine } from '../../protocol/csv.ts';
import { acceptNames } from '../door/arrival.ts';

/** How a list is written that may be too long for one JSON document. */
export interface Format<Row> {
  readonly type: string;
  readonly ending: string;
  /** Before the first row. */
  readonly head: string;
  line(row: Row): string;
}

/** The media types beside JSON. */
export const NDJSON = 'application/x-ndjson';
export const CSV = 'text/csv';

/**
 * The format that `Accept` names; null where JSON is meant. Every row begins with the `same` fields, and a line of CSV
 * goes on with `columns`.
 */
export function formatOf(
  accept: string,
  same: Readonly<Record<string, string>>,
  columns: readonly string[],
): Format<object> | null {
  if (acceptNames(accept, CSV)) {
    const line = (row: object): string => csvLine([...Object.values(same), ...cellsOf(row, columns)]);
    const head = csvLine([...Object.keys(same), ...columns]);
    return { type: `${CSV}; charset=utf-8`, ending: 'csv', head, line };
  }
  if (!acceptNames(accept, NDJSON)) return null;
  return { type: NDJSON, ending: 'ndjson', head: '', line: (row) => `${JSON.stringify({ ...same, ...row })}\n` };
}

/** At most `limit` rows as text, portion by portion; the head comes with the first. */
export async function* inFormat<Row>(
  portions: AsyncIterable<readonly Row[]>,
  { head, line }: Format<Row>,
  limit: number,
): AsyncGenerator<string, void, undefined> {
  let left = limit;
  let text = head;
  for await (const rows of portions) {
    yield text + rows.slice(0, left).map(line).join('');
    text = '';
    left -= rows.length;
    if (left <= 0) return;
  }
  if (text !== '') yield text;
}
