import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { chartOf } from './chart.ts';
import { machine } from './machine.ts';
import type { Bench, Outcome } from './outcome.ts';
import { goalLine, tablesOf } from './table.ts';

const FILE = 'bench/RESULTS.md';
const FOLDER = 'bench/results';

const HEADING = `# Results

Every entry was written by \`npm run bench -- NAME --record\`; bench/README.md says how each was measured. Medians over
the rounds in bold, every single value behind them. Ratios within one entry are what counts: the machine is small.
`;

const slug = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]+/g, '-');

/** The text with the section of a bench replaced, or added at the end: what was measured before is in the history. */
export function withSection(text: string, name: string, section: string): string {
  const sections = text.split(/^(?=## )/m);
  const at = sections.findIndex((one) => one.startsWith(`## ${name}, `));
  if (at < 0) return `${text.trimEnd()}\n\n${section}\n`;
  sections[at] = at === sections.length - 1 ? `${section}\n` : `${section}\n\n`;
  return sections.join('');
}

/** Puts an outcome into bench/RESULTS.md in place of the bench's last one, and draws its charts into bench/results. */
export function recordOutcome(bench: Bench, outcome: Outcome): void {
  if (!existsSync(FILE)) writeFileSync(FILE, HEADING);
  mkdirSync(FOLDER, { recursive: true });
  const { date, ...where } = machine();
  const facts = { ...where, MongoDB: outcome.mongo, ...outcome.parameters };
  const pictures = outcome.charts.flatMap((chart) => {
    const drawn = chartOf(chart, outcome.samples);
    if (drawn === null) return [];
    const name = `${bench.name}-${slug(chart.figure)}.svg`;
    writeFileSync(`${FOLDER}/${name}`, drawn);
    return [`![${chart.title}](results/${name})`];
  });
  const sections = [
    `## ${bench.name}, ${date.slice(0, 16).replace('T', ' ')} UTC`,
    bench.question,
    Object.entries(facts)
      .map(([name, value]) => `${name}: ${value}`)
      .join(' · '),
    tablesOf(outcome.samples),
    outcome.goals.map((goal) => `- ${goalLine(goal)}`).join('\n'),
    outcome.leftOut.map((words) => `- Left out: ${words}`).join('\n'),
    pictures.join('\n'),
  ].filter((section) => section !== '');
  writeFileSync(FILE, withSection(readFileSync(FILE, 'utf8'), bench.name, sections.join('\n\n')));
}
