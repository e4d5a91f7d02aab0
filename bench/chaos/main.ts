import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { createChance } from './chance.ts';
import { playRound } from './rounds.ts';
import { createWorld } from './world.ts';

const USAGE = `options: --seed N --rounds M [--uri MONGODB_URI] [--verbose]
A failure prints its seed and what happened; the same seed does the same again.`;

/** Rounds in one world: enough for state to build up, few enough that a world stays small. */
const ROUNDS_PER_WORLD = 20;

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
  let compared = 0;
  let played = 0;
  while (played < rounds) {
    // Each world has a seed of its own, so that one that failed can be played alone.
    const worldSeed = seed + Math.floor(played / ROUNDS_PER_WORLD);
    const chance = createChance(worldSeed);
    const world = await createWorld(chance, values.uri ?? null);
    const history: string[] = [];
    const until = Math.min(rounds, played + ROUNDS_PER_WORLD);
    try {
      for (; played < until; played++) {
        const round = await playRound(world, chance);
        compared += round.compared;
        history.push(`round ${history.length + 1} of seed ${worldSeed}:`, ...round.trace.map((line) => `  ${line}`));
        if (values.verbose) console.log(history.slice(-round.trace.length - 1).join('\n'));
        if (round.problems.length === 0) continue;
        console.error(`${history.join('\n')}\nbroken promises:\n${round.problems.slice(0, 20).join('\n')}`);
        for (const instance of world.living()) console.error(`log:\n  ${instance.lines.slice(-30).join('\n  ')}`);
        console.error(`again: npm run chaos -- --seed ${worldSeed} --rounds ${history.length}`);
        return 1;
      }
    } finally {
      await world.stop();
    }
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  console.log(`chaos: ${played} rounds in ${seconds} s, ${compared} frames equal on all instances, 0 promises broken`);
  return 0;
}

process.exitCode = await main();
