import { type Chart, type Row, rowsOf, type Sample } from './outcome.ts';
import { shown } from './table.ts';

const WIDTH = 760;
const LABEL_WIDTH = 300;
const BAR_HEIGHT = 20;
const GAP = 6;
const HEADING = 30;
const COLOURS = ['#0b7285', '#868e96', '#e67700', '#5f3dc4', '#2b8a3e', '#c92a2a', '#1864ab', '#a61e4d'];

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const words = (x: number, y: number, text: string, extra = ''): string =>
  `<text x="${x}" y="${y}" ${extra}>${escaped(text)}</text>`;

/** Bars of one figure, grouped by setting; a dot for every single value. Null when nothing has that figure. */
export function chartOf({ title, figure, unit }: Chart, samples: readonly Sample[]): string | null {
  const rows = rowsOf(samples).filter((row) => row.figures[figure] !== undefined);
  if (rows.length === 0) return null;
  const variants = [...new Set(rows.map(({ variant }) => variant))];
  const settings = [...new Set(rows.map(({ setting }) => setting))];
  const parts: string[] = [words(10, 20, `${title} (${unit})`, 'font-weight="bold" font-size="14"')];
  let y = HEADING;
  for (const setting of settings) {
    const here = rows.filter((row) => row.setting === setting);
    const values = here.flatMap((row) => row.figures[figure]?.values ?? []);
    const scale = (WIDTH - LABEL_WIDTH - 80) / Math.max(...values, Number.MIN_VALUE);
    y += HEADING;
    parts.push(words(10, y - 8, setting, 'font-style="italic"'));
    for (const row of here) {
      parts.push(bar(row, figure, y, scale, COLOURS[variants.indexOf(row.variant) % COLOURS.length] ?? ''));
      y += BAR_HEIGHT + GAP;
    }
  }
  const name = `<title>${escaped(`${title} (${unit})`)}</title>`;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 10}" width="${WIDTH}" height="${y + 10}" ` +
    `font-family="sans-serif" font-size="12">${name}<rect width="100%" height="100%" fill="#fff"/>\n${parts.join('\n')}\n</svg>\n`
  );
}

function bar(row: Row, figure: string, y: number, scale: number, colour: string): string {
  const found = row.figures[figure];
  if (found === undefined) return '';
  const { median, values } = found;
  const width = Math.max(1, median * scale);
  const centre = y + BAR_HEIGHT / 2;
  const dots = values.map(
    (value) => `<circle cx="${(LABEL_WIDTH + value * scale).toFixed(1)}" cy="${centre}" r="2.5" fill="#212529"/>`,
  );
  const furthest = Math.max(median, ...values) * scale;
  return [
    words(LABEL_WIDTH - 8, centre + 4, row.variant, 'text-anchor="end"'),
    `<rect x="${LABEL_WIDTH}" y="${y}" width="${width.toFixed(1)}" height="${BAR_HEIGHT}" fill="${colour}" opacity="0.8"/>`,
    ...dots,
    words(LABEL_WIDTH + furthest + 8, centre + 4, shown(median)),
  ].join('');
}
