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

/** A line of CSV, with its end. */
export const csvLine = (cells: readonly unknown[]): string => `${cells.map(cellOf).join(',')}\r\n`;

/** The cells of a row in these columns, some of which it may lack. */
export const cellsOf = (row: object, columns: readonly string[]): unknown[] =>
  columns.map((column): unknown => (Object.hasOwn(row, column) ? Reflect.get(row, column) : undefined));
