import { createChance } from './chance.ts';
import { playRound } from './rounds.ts';
import { createWorld, type World } from './world.ts';

/** Rounds in one world: enough for state to build up, few enough that a world stays small. */
export const ROUNDS_PER_WORLD = 20;

export interface PlaySettings {
  readonly seed: number;
  readonly rounds: number;
  /** The replica set to use, with test commands; null starts the built-in server. */
  readonly uri: string | null;
  readonly verbose: boolean;
}

export interface Played {
  /** Rounds without a broken promise. */
  readonly rounds: number;
  readonly compared: number;
  /** Events that the readers of all rounds got. */
  readonly events: number;
  readonly problems: readonly string[];
}

/** Plays rounds until one breaks a promise, which it prints with everything needed to play it again. */
export async function playRounds({ seed, rounds, uri, verbose }: PlaySettings): Promise<Played> {
  let compared = 0;
  let events = 0;
  let played = 0;
  while (played < rounds) {
    // Each world has a seed of its own, so that one that failed can be played alone.
    const worldSeed = seed + Math.floor(played / ROUNDS_PER_WORLD);
    const chance = createChance(worldSeed);
    const world = await createWorld(chance, uri);
    const history: string[] = [];
    const until = Math.min(rounds, played + ROUNDS_PER_WORLD);
    try {
      for (; played < until; played++) {
        const round = await playRound(world, chance);
        compared += round.compared;
        history.push(`round ${(played % ROUNDS_PER_WORLD) + 1} of seed ${worldSeed}:`);
        history.push(...round.trace.map((line) => `  ${line}`));
        if (verbose) console.log(history.slice(-round.trace.length - 1).join('\n'));
        if (round.problems.length === 0) continue;
        console.error(`${history.join('\n')}\nbroken promises:\n${round.problems.slice(0, 20).join('\n')}`);
        for (const instance of world.living()) console.error(`log:\n  ${instance.lines.slice(-30).join('\n  ')}`);
        console.error(`again: runcash-live chaos --seed ${worldSeed} --rounds ${(played % ROUNDS_PER_WORLD) + 1}`);
        return { rounds: played, compared, events, problems: round.problems };
      }
    } finally {
      events += eventsOf(world);
      await world.stop();
    }
  }
  return { rounds: played, compared, events, problems: [] };
}

/** Only events have a predecessor. */
const eventsOf = ({ readers }: World): number =>
  readers.reduce((sum, { messages }) => sum + messages.filter((message) => 'prev' in message).length, 0);
