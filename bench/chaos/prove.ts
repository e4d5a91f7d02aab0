import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { endOnInterrupt, startProgram } from '../harness/child.ts';
import { machine } from '../harness/machine.ts';
import { createChance } from './chance.ts';
import { tryCrashes } from './crash.ts';
import { trySeam } from './seam.ts';

/**
 * Everything that is proved, in full: subscribes into a flow of events, processes killed and frozen under load, rounds
 * of chaos, the fault suite, the rates of the feed. The first part that fails ends the run.
 */

const USAGE = `npm run prove -- [--rounds 2000] [--instances 50] [--mongos 20] [--freezes 3] [--subscribes 1000] [--seed N]
--short leaves out the fault suite and the rates`;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '2000' },
    instances: { type: 'string', default: '50' },
    mongos: { type: 'string', default: '20' },
    freezes: { type: 'string', default: '3' },
    subscribes: { type: 'string', default: '1000' },
    seed: { type: 'string' },
    short: { type: 'boolean', default: false },
  },
});
const numbers = [values.rounds, values.instances, values.mongos, values.freezes, values.subscribes].map(Number);
const [rounds = 0, instances = 0, mongos = 0, freezes = 0, subscribes = 0] = numbers;
const seed = values.seed === undefined ? randomInt(1, 2 ** 31) : Number(values.seed);
if (numbers.some((value) => !Number.isInteger(value) || value < 0) || !Number.isInteger(seed)) {
  console.error(USAGE);
  process.exit(2);
}
endOnInterrupt();

/** Says how a part went; one that broke a promise ends the run. */
function tell(isKept: boolean, words: string): void {
  console.log(`${isKept ? 'kept' : 'BROKEN'}: ${words}`);
  if (!isKept) process.exit(1);
}

const run = (program: string, args: readonly string[]): Promise<number> =>
  new Promise((resolve, reject) => {
    spawn(program, args, { stdio: 'inherit' })
      .once('error', reject)
      .once('exit', (code) => resolve(code ?? 1));
  });

const { date, commit } = machine();
console.log(`prove: seed ${seed}, ${date}, commit ${commit}`);
const chance = createChance(seed);

const mongo = startProgram('src/embedded/main', { args: ['--port', '0'] });
const uri = (await mongo.line(/listening (mongodb:\S+)/))[1] ?? '';
const seam = await trySeam(uri, 'seam', subscribes, chance);
await mongo.end();
tell(
  seam.gaps === 0 && seam.duplicates === 0,
  `${seam.subscribes} subscribes while ${seam.eventsPerSecond.toFixed(0)} events/s flow: ` +
    `${seam.gaps} gaps, ${seam.duplicates} duplicates`,
);

const verdict = await tryCrashes({ instances, mongos, freezes }, chance, (words) => console.log(`  ${words}`));
for (const words of verdict.words) console.log(`  ${words}`);
tell(
  verdict.words.length === 0,
  `instances killed ${instances} times, MongoDB ${mongos} times, frozen ${freezes} times: ${verdict.lost} lost, ` +
    `${verdict.duplicated} duplicated, ${verdict.reordered} reordered, ${verdict.invented} invented`,
);

if (rounds > 0) {
  const chaos = ['dist/bench/chaos/main.js', '--seed', String(seed), '--rounds', String(rounds)];
  tell((await run(process.execPath, chaos)) === 0, `${rounds} rounds of chaos from seed ${seed}`);
}
if (!values.short) {
  const faults = ['vitest', 'run', '--config', 'test/faults/vitest.config.ts'];
  tell((await run('npx', faults)) === 0, 'every fault of the suite');
  tell((await run(process.execPath, ['dist/bench/main.js', 'feed'])) === 0, 'the rates of the feed were measured');
}
console.log(`prove: everything held, ${new Date().toISOString()}, commit ${commit}`);
process.exit(0);
