import { Session } from 'node:inspector/promises';
import { MongoClient } from 'mongodb';
import { WebSocket } from 'ws';
import { startRuncash } from '../src/app/start.ts';
import { loadConfig } from '../src/config/load.ts';
import { logTo } from '../src/log/log.ts';
import { freshDatabase, startMongo } from './harness/mongo.ts';
import type { Bench, Outcome, Sample } from './harness/outcome.ts';
import { functionsOf, sourcesBelow } from './harness/source.ts';

/** How large the source is, and how many of its files an event passes through: a reader has to open as many. */

const TABLE = '2010165';
const OURS = 'the service';

interface Walk {
  /** The files of which a function ran, in alphabetical order. */
  readonly files: readonly string[];
}

/** Calls `act` again and again; what ran each time is what it needs, what ran at times is timers beside it. */
async function walkOf(act: (turn: number) => Promise<void>, turns: number): Promise<Walk> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  for (let turn = 0; turn < 5; turn++) await act(turn);
  let common: Set<string> | null = null;
  for (let turn = 5; turn < turns + 5; turn++) {
    await session.post('Profiler.takePreciseCoverage');
    await act(turn);
    const { result } = await session.post('Profiler.takePreciseCoverage');
    const ran = result
      .filter(({ functions }) => functions.some(({ ranges }) => ranges.some(({ count }) => count > 0)))
      .flatMap(({ url }) => /\/dist\/(src\/.+)\.js$/.exec(url)?.slice(1, 2) ?? []);
    common = new Set(ran.filter((file) => common === null || common.has(file)));
  }
  session.disconnect();
  return { files: [...(common ?? [])].sort() };
}

/** From an insert to the frame at a subscriber, and from a post to its answer, in one running service. */
async function walks(mongoUri: string | null, turns: number): Promise<{ readonly change: Walk; readonly post: Walk }> {
  const mongo = await startMongo(mongoUri);
  const database = freshDatabase();
  const { config } = loadConfig({ PORT: '0', MONGODB_DB_NAME: database, DRAIN_SECONDS: '0' });
  const log = { ...logTo(() => undefined) };
  const live = await startRuncash({
    config,
    mongoUri: mongo.uri,
    version: '0',
    log,
    pageFolder: 'dist/page',
    worker: null,
  });
  await live.ready;
  const client = new MongoClient(mongo.uri);
  const numbers = client.db(database).collection('roleta_numeros');
  const numberAt = (turn: number) => ({ roleta_id: TABLE, roleta_nome: 'Roulette', numero: turn % 37 });
  await numbers.insertOne({ ...numberAt(0), timestamp: new Date() });
  const socket = new WebSocket(`ws://127.0.0.1:${live.port}/ws`);
  const heard = (type: string): Promise<void> =>
    new Promise((resolve) => {
      const onMessage = (data: WebSocket.RawData): void => {
        if (!String(data).startsWith(`{"type":"${type}"`)) return;
        socket.off('message', onMessage);
        resolve();
      };
      socket.on('message', onMessage);
    });
  await heard('hello');
  const subscribed = heard('subscribed');
  socket.send(JSON.stringify({ type: 'subscribe', id: 1, topics: [`roulette:${TABLE}`] }));
  await subscribed;
  const change = await walkOf(async (turn) => {
    const arrived = heard('new_number');
    await numbers.insertOne({ ...numberAt(turn), timestamp: new Date() });
    await arrived;
  }, turns);
  // The same number again and again: stored once, so that no event comes in between.
  const body = JSON.stringify({ ...numberAt(1), timestamp: new Date().toISOString() });
  const headers = { 'content-type': 'application/json' };
  const post = await walkOf(async () => {
    await fetch(`http://127.0.0.1:${live.port}/api/v1/numbers`, { method: 'POST', headers, body });
  }, turns);
  socket.terminate();
  await client.close();
  await live.stop(0);
  await mongo.stop();
  return { change, post };
}

const sample = (variant: string, figures: Readonly<Record<string, number>>): Sample => ({
  ...{ variant, setting: 'source', round: 0, figures },
  ...{ lost: 0, repeated: 0, disordered: 0 },
});

const sizeOf = (folder: string, isIn: (path: string) => boolean) => {
  const files = sourcesBelow(folder).filter(({ path }) => isIn(path));
  const functions = files.flatMap(functionsOf);
  return {
    files: files.length,
    lines: files.reduce((sum, { text }) => sum + text.split('\n').length - 1, 0),
    functions_over_80: functions.filter(({ lines }) => lines > 80).length,
    functions_over_100: functions.filter(({ lines }) => lines > 100).length,
  };
};

export const house: Bench = {
  name: 'house',
  question: 'How large is the source, and how many files does an event pass through?',
  async run({ smoke, mongoUri, say }): Promise<Outcome> {
    const { change, post } = await walks(mongoUri, smoke ? 3 : 20);
    say(`a change document passes through ${change.files.length} files:\n    ${change.files.join('\n    ')}`);
    say(`a post passes through ${post.files.length} files:\n    ${post.files.join('\n    ')}`);
    const own = sizeOf('src', (path) => !path.startsWith('src/embedded/'));
    const embedded = sizeOf('src/embedded', () => true);
    return {
      parameters: { turns: smoke ? 3 : 20 },
      mongo: 'built-in, in memory',
      samples: [
        sample(OURS, { ...own, files_of_a_change: change.files.length, files_of_a_post: post.files.length }),
        sample('the built-in MongoDB', embedded),
      ],
      goals: [
        { words: 'lines of src without embedded', value: own.lines, way: '<=', limit: 21_000 },
        { words: 'lines of embedded', value: embedded.lines, way: '<=', limit: 17_000 },
        {
          words: 'functions of src over 100 lines',
          value: own.functions_over_100 + embedded.functions_over_100,
          way: '<=',
          limit: 0,
        },
        {
          words: 'functions of src over 80 lines',
          value: own.functions_over_80 + embedded.functions_over_80,
          way: '<=',
          limit: 12,
        },
        { words: 'files that a change document passes through', value: change.files.length, way: '<=', limit: 30 },
        { words: 'files that a post passes through', value: post.files.length, way: '<=', limit: 25 },
      ],
      leftOut: [],
      charts: [],
    };
  },
};
