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

/** What a spreadsheet takes for a formula, in ASCII and full width. https://owasp.org/www-community/attacks/CSV_Injection */
const FORMULA = /^[=+\-@\t\r＝＋－＠]/;

/** A cell after RFC 4180. A text that a spreadsheet would calculate gets an apostrophe before it; numbers are numbers. */
function cellOf(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return cellOf(value.join(' '));
  if (typeof value !== 'string') return String(value);
  const safe = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const csvLine = (cells: readonly unknown[]): string => `${cells.map(cellOf).join(',')}\r\n`;

/** A row may lack a column, whose name a setting may have given. */
const columnOf = (row: object, column: string): unknown =>
  Object.hasOwn(row, column) ? Reflect.get(row, column) : undefined;

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
    const line = (row: object): string =>
      csvLine([...Object.values(same), ...columns.map((column) => columnOf(row, column))]);
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
