import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { playRounds } from './play.ts';

const USAGE = `options: --seed N --rounds M [--uri MONGODB_URI] [--verbose]
A failure prints its seed and what happened; the same seed does the same again.`;

/** Plays rounds; the exit code says whether every promise was kept. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string' },
      rounds: { type: 'string', default: '10' },
      uri: { type: 'string' },
      verbose: { type: 'boolean', default: false },
    },
  });
  const seed = values.seed === undefined ? randomInt(1, 2 ** 31) : Number(values.seed);
  const rounds = Number(values.rounds);
  if (!Number.isInteger(seed) || !Number.isInteger(rounds) || rounds < 1) {
    console.error(USAGE);
    return 2;
  }
  console.log(`chaos: seed ${seed}, ${rounds} rounds`);
  const began = performance.now();
  const played = await playRounds({ seed, rounds, uri: values.uri ?? null, verbose: values.verbose });
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  if (played.problems.length > 0) return 1;
  console.log(
    `chaos: ${played.rounds} rounds in ${seconds} s, ${played.events} events, ${played.compared} frames equal, ` +
      '0 promises broken',
  );
  return 0;
}

process.exitCode = await main();
