import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { commandLine, HELP } from '../harness/command-line.ts';
import { playRounds } from './play.ts';

const USAGE = `runcash-live chaos [--seed N] [--rounds 10] [--uri MONGODB_URI] [--verbose]

Plays rounds of faults by chance against the feed and checks every promise of delivery.
A failure prints its seed and what happened; the same seed does the same again.`;

interface Wish {
  readonly seed: number;
  readonly rounds: number;
  readonly uri: string | null;
  readonly verbose: boolean;
}

/** Null asks for the usage. @throws Error in words when the command line cannot be followed */
function readOptions(): Wish | null {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      rounds: { type: 'string', default: '10' },
      uri: { type: 'string' },
      verbose: { type: 'boolean', default: false },
      help: HELP,
    },
  });
  if (values.help) return null;
  const seed = values.seed === undefined ? randomInt(1, 2 ** 31) : Number(values.seed);
  const rounds = Number(values.rounds);
  if (!Number.isInteger(seed)) throw new Error('--seed must be a whole number');
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error('--rounds must be a whole number above 0');
  return { seed, rounds, uri: values.uri ?? null, verbose: values.verbose };
}

/** Plays rounds; the exit code says whether every promise was kept. */
async function main(): Promise<number> {
  const wish = commandLine(USAGE, readOptions);
  const { seed, rounds } = wish;
  console.log(`chaos: seed ${seed}, ${rounds} rounds`);
  const began = performance.now();
  const played = await playRounds(wish);
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  if (played.problems.length > 0) return 1;
  console.log(
    `chaos: ${played.rounds} rounds in ${seconds} s, ${played.events} events, ${played.compared} frames equal, ` +
      '0 promises broken',
  );
  return 0;
}

process.exitCode = await main();
