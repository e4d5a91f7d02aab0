import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { endOnInterrupt, startProgram } from '../harness/child.ts';
import { commandLine, HELP } from '../harness/command-line.ts';
import { machine } from '../harness/machine.ts';
import { createChance } from './chance.ts';
import { tryCrashes } from './crash.ts';
import { tryJoins } from './joining.ts';
import { tryLeaves } from './leaves.ts';
import { ROUNDS_PER_WORLD } from './play.ts';
import { recordProof } from './record.ts';

/**
 * Everything that is proved, in full: subscribes into a flow of events, processes killed and frozen under load, rounds
 * of chaos, the fault suite, the rates of the feed. The first part that fails ends the run.
 */

const USAGE = `runcash-live prove [--rounds 2000] [--instances 50] [--mongos 20] [--freezes 3] [--leaves 60] [--subscribes 1000]
  [--seed N]
--short leaves out the fault suite and the rates; --record writes the result into the README`;

function readOptions() {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '2000' },
      instances: { type: 'string', default: '50' },
      mongos: { type: 'string', default: '20' },
      freezes: { type: 'string', default: '3' },
      leaves: { type: 'string', default: '60' },
      subscribes: { type: 'string', default: '1000' },
      seed: { type: 'string' },
      short: { type: 'boolean', default: false },
      record: { type: 'boolean', default: false },
      help: HELP,
    },
  });
  if (values.help) return null;
  const count = (name: 'rounds' | 'instances' | 'mongos' | 'freezes' | 'leaves' | 'subscribes'): number => {
    const value = Number(values[name]);
    if (!Number.isInteger(value) || value < 0) throw new Error(`--${name} must be a whole number`);
    return value;
  };
  const seed = values.seed === undefined ? randomInt(1, 2 ** 31) : Number(values.seed);
  if (!Number.isInteger(seed)) throw new Error('--seed must be a whole number');
  return {
    values,
    seed,
    rounds: count('rounds'),
    instances: count('instances'),
    mongos: count('mongos'),
    freezes: count('freezes'),
    leaves: count('leaves'),
    subscribes: count('subscribes'),
  };
}

const { values, seed, rounds, instances, mongos, freezes, leaves, subscribes } = commandLine(USAGE, readOptions);
endOnInterrupt();

/** Says how a part went; one that broke a promise ends the run. */
function tell(isKept: boolean, words: string): void {
  console.log(`${isKept ? 'kept' : 'BROKEN'}: ${words}`);
  if (!isKept) process.exit(1);
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Runs a program to its end and shows what it says; `hear` gets each line of its output. */
const run = (program: string, args: readonly string[], hear: (line: string) => void = () => undefined) =>
  new Promise<number>((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    running.add(child);
    createInterface({ input: child.stdout }).on('line', (line) => {
      console.log(line);
      hear(line);
    });
    child.once('error', reject).once('close', (code) => {
      running.delete(child);
      resolve(code ?? 1);
    });
  });

/** Worlds of chaos that are played at once: each waits half of the time for what it did to happen. */
const PARALLEL = availableParallelism() + 1;

interface Chaos {
  readonly isKept: boolean;
  readonly rounds: number;
  readonly events: number;
}

/** Plays the rounds, in processes side by side, each from a seed of its own. */
async function playChaos(): Promise<Chaos> {
  const each = Math.ceil(rounds / PARALLEL / ROUNDS_PER_WORLD) * ROUNDS_PER_WORLD;
  let played = 0;
  let events = 0;
  const hear = (line: string): void => {
    const said = /^chaos: (\d+) rounds in \d+ s, (\d+) events/.exec(line);
    played += Number(said?.[1] ?? 0);
    events += Number(said?.[2] ?? 0);
  };
  const codes: Promise<number>[] = [];
  for (let from = 0; from < rounds; from += each) {
    const count = Math.min(each, rounds - from);
    const args = ['--seed', String(seed + from / ROUNDS_PER_WORLD), '--rounds', String(count)];
    codes.push(run(process.execPath, ['dist/bench/chaos/main.js', ...args], hear));
  }
  const isKept = (await Promise.all(codes)).every((code) => code === 0) && played === rounds;
  return { isKept, rounds: played, events };
}

const { date, commit } = machine();
console.log(`prove: seed ${seed}, ${date}, commit ${commit}`);
const chance = createChance(seed);

const mongo = startProgram('src/embedded/main', { args: ['--port', '0'] });
const uri = (await mongo.line(/listening (mongodb:\S+)/))[1] ?? '';
const joins = await tryJoins(uri, 'joins', subscribes, chance);
await mongo.end();
tell(
  joins.gaps === 0 && joins.duplicates === 0,
  `${joins.subscribes} subscribes while ${joins.eventsPerSecond.toFixed(0)} events/s flow: ` +
    `${joins.gaps} gaps, ${joins.duplicates} duplicates`,
);

const { verdict, events: crashEvents } = await tryCrashes({ instances, mongos, freezes }, chance, (words) =>
  console.log(`  ${words}`),
);
for (const words of verdict.words) console.log(`  ${words}`);
tell(
  verdict.words.length === 0,
  `instances killed ${instances} times, MongoDB ${mongos} times, frozen ${freezes} times: ${verdict.lost} lost, ` +
    `${verdict.duplicated} duplicated, ${verdict.reordered} reordered, ${verdict.invented} invented`,
);

const among = await tryLeaves(leaves, chance, (words) => console.log(`  ${words}`));
for (const words of among.verdict.words) console.log(`  ${words}`);
tell(
  among.verdict.words.length === 0 && among.unrecovered === 0,
  `${leaves} kills, cuts and moves among 2 cores and 6 leaves: ${among.verdict.lost} lost, ` +
    `${among.verdict.duplicated} duplicated, ${among.compared} frames equal, ${among.unrecovered} not recovered`,
);

const chaos = await playChaos();
tell(chaos.isKept, `${chaos.rounds} rounds of chaos from seed ${seed}, ${chaos.events} events`);
if (!values.short) {
  const faults = ['vitest', 'run', '--config', 'test/faults/vitest.config.ts'];
  tell((await run('npx', faults)) === 0, 'every fault of the suite');
  tell((await run(process.execPath, ['dist/bench/main.js', 'feed'])) === 0, 'the rates of the feed were measured');
}
const events = chaos.events + crashEvents + among.events + joins.events;
const words =
  `On ${date.slice(0, 10)}, commit ${commit}: ${chaos.rounds} rounds of chaos; under load instances killed ` +
  `${instances} times, MongoDB killed ${mongos} times and frozen ${freezes} times; ${leaves} faults among cores and ` +
  `leaves; ${joins.subscribes} subscribes into the flow; ${events} events; 0 promises broken.`;
if (values.record) recordProof(words);
console.log(`prove: everything held. ${words}`);
process.exit(0);
