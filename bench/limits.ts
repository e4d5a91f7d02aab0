import { setTimeout as delay } from 'node:timers/promises';
import { startMongo } from './harness/mongo.ts';
import type { Bench, Goal, Sample, Settings } from './harness/outcome.ts';
import { fill, moveOn, type Started, start } from './limits/boots.ts';
import { eventUs, pageLoadMs, resumeMs } from './limits/memory.ts';

/** Costs that must not grow: each has a limit, and the run fails where one is passed. */

/** A rewind so short that it meets nothing of what was stored before it. */
const NO_WINDOW_S = 1;
const WHOLE_WINDOW_S = 600;
/** Holds everything that is stored. */
const OPLOG_MB = 1_024;
/** In one turn of the event loop nobody is served. */
const LONGEST_TURN_MS = 50;
/** Numbers of a table that a start reads. */
const FULL = 264;

/** A tiny run beside two others measures no better. */
const slackOf = ({ smoke }: Settings): number => (smoke ? 3 : 1);

const sampleOf = (setting: string, figures: Sample['figures'], lost = 0): Sample => ({
  variant: 'runcash-live',
  setting,
  round: 0,
  figures,
  lost,
  repeated: 0,
  disordered: 0,
});

interface Measured {
  readonly samples: readonly Sample[];
  readonly goals: readonly Goal[];
}

const atMost = (words: string, value: number, limit: number): Goal => ({ words, value, way: '<=', limit });

function events(settings: Settings): Measured {
  const [few, many] = settings.smoke ? [39, 390] : [39, 10_000];
  const times = settings.smoke ? 2_000 : 20_000;
  const costs = [few, many].map((tables) => ({ tables, us: eventUs(tables, times) }));
  const [first, last] = costs.map(({ us }) => us);
  return {
    samples: costs.map(({ tables, us }) => sampleOf(`a live number among ${tables} tables`, { cpu_us: us })),
    goals: [
      atMost(
        `a live number among ${many} tables / among ${few}`,
        (last ?? Number.NaN) / (first ?? Number.NaN),
        2 * slackOf(settings),
      ),
    ],
  };
}

function reads(settings: Settings): Measured {
  const ring = settings.smoke ? 5_000 : 125_000;
  const times = settings.smoke ? 50 : 500;
  const resume = resumeMs(ring, 50, times);
  const page = pageLoadMs(39, times);
  return {
    samples: [
      sampleOf(`a resume of 50 topics in a ring of ${ring} events`, { cpu_ms: resume.cpuMs }, resume.wrong),
      sampleOf('a page load of 39 tables', { cpu_ms: page.cpuMs }, page.wrong),
    ],
    goals: [
      atMost(`resume of 50 topics in a ring of ${ring} events, ms of CPU`, resume.cpuMs, slackOf(settings)),
      atMost('page load of 39 tables, ms of CPU', page.cpuMs, 0.5 * slackOf(settings)),
    ],
  };
}

const bootFigures = ({ cpuMs, longestTurnMs }: Started): Sample['figures'] => ({
  cpu_s: cpuMs / 1e3,
  longest_turn_ms: longestTurnMs,
});

async function boot(uri: string, settings: Settings, tables: number, each: number, limitS: number): Promise<Measured> {
  const setting = `a start over ${tables} tables of ${each} numbers`;
  settings.say(setting);
  const database = await fill(uri, tables, each);
  // So that the rewind meets nothing of it.
  await delay((NO_WINDOW_S + 2) * 1_000);
  await moveOn(uri, database);
  const started = await start(uri, database, NO_WINDOW_S);
  return {
    samples: [sampleOf(setting, bootFigures(started), Math.abs(tables - started.tables))],
    goals: [
      atMost(`${setting}, s of CPU`, started.cpuMs / 1e3, limitS * slackOf(settings)),
      atMost(`longest turn of ${setting}, ms`, started.longestTurnMs, LONGEST_TURN_MS * slackOf(settings)),
    ],
  };
}

async function rewind(uri: string, settings: Settings): Promise<Measured> {
  const count = settings.smoke ? 5_000 : 100_000;
  const setting = `a rewind over ${count} events`;
  settings.say(setting);
  const database = await fill(uri, 50, count / 50);
  const started = await start(uri, database, WHOLE_WINDOW_S);
  return {
    samples: [sampleOf(setting, bootFigures(started), Math.abs(count - started.events))],
    goals: [atMost(`longest turn of ${setting}, ms`, started.longestTurnMs, LONGEST_TURN_MS * slackOf(settings))],
  };
}

export const limits: Bench = {
  name: 'limits',
  question: 'Do the costs that must not grow with tables, events and documents stay within their limits?',
  isStrict: true,
  async run(settings) {
    const mongo = await startMongo(settings.mongoUri, OPLOG_MB);
    settings.say('in memory');
    const found = [events(settings), reads(settings), await rewind(mongo.uri, settings)];
    const boots: readonly (readonly [number, number, number])[] = settings.smoke
      ? [[100, 50, 2]]
      : [
          [1_600, 20, 3],
          [10_000, 20, 15],
          [1_600, FULL, 3],
        ];
    for (const [tables, each, limitS] of boots) found.push(await boot(mongo.uri, settings, tables, each, limitS));
    await mongo.stop();
    return {
      parameters: { 'slack of the limits': slackOf(settings) },
      mongo: mongo.kind,
      samples: found.flatMap(({ samples }) => samples),
      goals: found.flatMap(({ goals }) => goals),
      leftOut: [],
      charts: [],
    };
  },
};
