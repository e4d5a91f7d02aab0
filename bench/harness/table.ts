import { type Goal, isReached, type Row, rowsOf, type Sample } from './outcome.ts';

/** A number in as many digits as say something. */
export function shown(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (Number.isInteger(value) || Math.abs(value) >= 1_000) return Math.round(value).toString();
  return value.toPrecision(3);
}

const cell = (row: Row, figure: string): string => {
  const found = row.figures[figure];
  if (found === undefined) return '';
  const { median, values } = found;
  return values.length === 1 ? shown(median) : `**${shown(median)}** (${values.map(shown).join(', ')})`;
};

/** Rows as Markdown tables, one for each setting: the median in bold, every value behind it. */
export function tablesOf(samples: readonly Sample[]): string {
  const rows = rowsOf(samples);
  const settings = [...new Set(rows.map(({ setting }) => setting))];
  return settings
    .map((setting) => {
      const here = rows.filter((row) => row.setting === setting);
      const figures = [...new Set(here.flatMap((row) => Object.keys(row.figures)))];
      const head = ['variant', ...figures, 'lost', 'repeated', 'out of order'];
      const lines = here.map((row) => [
        row.variant,
        ...figures.map((figure) => cell(row, figure)),
        row.lost,
        row.repeated,
        row.disordered,
      ]);
      const all = [head, head.map(() => '---'), ...lines].map((line) => `| ${line.join(' | ')} |`);
      return `**${setting}**\n\n${all.join('\n')}\n`;
    })
    .join('\n');
}

/** One line per goal. */
export const goalLine = (goal: Goal): string => {
  const reached = isReached(goal);
  const verdict = reached === null ? 'not measured' : reached ? 'reached' : 'MISSED';
  const value = goal.value === null ? '-' : shown(goal.value);
  return `${goal.words}: ${value} (goal ${goal.way} ${goal.limit}): ${verdict}`;
};
