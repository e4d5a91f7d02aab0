import { parseArgs } from 'node:util';
import { boot } from './boot.ts';
import { commitToClient } from './commit-to-client.ts';
import { embedded } from './embedded.ts';
import { fanout } from './fanout.ts';
import { feed } from './feed.ts';
import { floods } from './floods.ts';
import { endOnInterrupt } from './harness/child.ts';
import { commandLine, HELP } from './harness/command-line.ts';
import type { Bench, Outcome, Settings } from './harness/outcome.ts';
import { recordOutcome } from './harness/results.ts';
import { missed, saneProblems } from './harness/sane.ts';
import { goalLine, tablesOf } from './harness/table.ts';
import { herd } from './herd.ts';
import { history } from './history.ts';
import { house } from './house.ts';
import { idle } from './idle.ts';
import { ingest } from './ingest.ts';
import { limits } from './limits.ts';
import { networks } from './networks.ts';
import { page } from './page.ts';
import { pollers } from './pollers.ts';
import { recovery } from './recovery.ts';
import { stalled } from './stalled.ts';
import { workers } from './workers.ts';

const BENCHES: readonly Bench[] = [
  fanout,
  commitToClient,
  ingest,
  recovery,
  herd,
  idle,
  networks,
  house,
  boot,
  stalled,
  floods,
  history,
  workers,
  page,
  pollers,
  feed,
  limits,
  embedded,
];

const USAGE = `runcash-live bench NAME... [--smoke] [--record] [--rounds N] [--clients N,N] [--mongo URI]

  all            every bench, one after the other
${BENCHES.map(({ name, question }) => `  ${name.padEnd(15)}${question}`).join('\n')}

  --smoke        tiny parameters: shows that it works, fails on any loss; its figures mean nothing
  --record       replaces its section of bench/RESULTS.md and draws charts
  --mongo URI    a replica set to use instead of the built-in server`;

function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      smoke: { type: 'boolean', default: false },
      record: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      clients: { type: 'string' },
      mongo: { type: 'string' },
      help: HELP,
    },
  });
  if (values.help) return null;
  const unknown = positionals.filter((name) => name !== 'all' && !BENCHES.some((bench) => bench.name === name));
  if (unknown.length > 0) throw new Error(`There is no bench ${unknown.join(', ')}.`);
  if (positionals.length === 0) throw new Error('Name a bench, or all.');
  const chosen = positionals.includes('all') ? BENCHES : BENCHES.filter(({ name }) => positionals.includes(name));
  return { values, chosen };
}

const { values, chosen } = commandLine(USAGE, readOptions);
endOnInterrupt();

/** Three at a time where figures mean nothing, since most of a tiny run is the start of processes. */
const AT_ONCE = values.smoke ? 3 : 1;

const settingsOf = ({ name }: Bench): Settings => ({
  smoke: values.smoke,
  rounds: values.rounds === undefined ? null : Number(values.rounds),
  clients: values.clients?.split(',').map(Number) ?? null,
  mongoUri: values.mongo ?? null,
  say: (words) => console.log(AT_ONCE > 1 ? `  ${name}: ${words}` : `  ${words}`),
});

function show(bench: Bench, outcome: Outcome, seconds: number): void {
  console.log(`\n${bench.name}: ${bench.question}\n\n${tablesOf(outcome.samples)}`);
  if (!values.smoke || bench.isStrict) for (const goal of outcome.goals) console.log(goalLine(goal));
  for (const words of outcome.leftOut) console.log(`left out: ${words}`);
  console.log(`${bench.name}: ${seconds.toFixed(0)} s\n`);
}

async function measure(bench: Bench): Promise<readonly string[]> {
  const startedMs = performance.now();
  const outcome = await bench.run(settingsOf(bench));
  show(bench, outcome, (performance.now() - startedMs) / 1e3);
  if (values.record) recordOutcome(bench, outcome);
  return [...saneProblems(bench.name, outcome), ...(bench.isStrict ? missed(bench.name, outcome.goals) : [])];
}

const problems: string[] = [];
const waiting = [...chosen];
const lane = async (): Promise<void> => {
  for (let bench = waiting.shift(); bench !== undefined; bench = waiting.shift())
    problems.push(...(await measure(bench)));
};
await Promise.all(Array.from({ length: AT_ONCE }, lane));
for (const problem of problems) console.error(problem);
process.exit(problems.length === 0 ? 0 : 1);
