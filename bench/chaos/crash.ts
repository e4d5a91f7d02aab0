import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Child, startProgram } from '../harness/child.ts';
import type { Chance } from './chance.ts';
import { isComplete, judge, readTruth, type Verdict } from './checker.ts';
import { type Reader, startReader } from './reader.ts';
import { socketServer } from './socket.ts';
import { TABLES } from './world.ts';
import { createWriter } from './writer.ts';

export interface CrashCounts {
  /** How often an instance is killed, how often MongoDB is, and how often that is frozen for longer than the watchdog waits. */
  readonly instances: number;
  readonly mongos: number;
  readonly freezes: number;
}

const READERS = 20;
const PATIENCE_MS = 60_000;
/** The await of a getMore and the margin of the watchdog, and one second. */
const FREEZE_MS = 4_500;
const LOAD_GAP_MS = 20;

export const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Whether a condition comes to hold while there is patience. */
export async function holds(condition: () => boolean): Promise<boolean> {
  const until = performance.now() + PATIENCE_MS;
  while (performance.now() < until) {
    if (condition()) return true;
    await wait(25);
  }
  return false;
}

interface Instance {
  readonly child: Child;
  readonly port: number;
}

export interface CrashResult {
  readonly verdict: Verdict;
  /** Numbers that were written meanwhile, each for every reader. */
  readonly events: number;
}

/** Kills and freezes processes under load while clients read over real sockets; what they lost or got twice. */
export async function tryCrashes(
  counts: CrashCounts,
  chance: Chance,
  say: (words: string) => void,
): Promise<CrashResult> {
  const folder = mkdtempSync(join(tmpdir(), 'runcash-crash-'));
  const startMongo = async (port: string): Promise<{ child: Child; uri: string }> => {
    const args = ['--port', port, '--data', join(folder, 'data')];
    const child = startProgram('src/embedded/main', { args });
    return { child, uri: (await child.line(/listening (mongodb:\S+)/))[1] ?? '' };
  };
  let mongo = await startMongo('0');
  const mongoPort = new URL(mongo.uri).port;
  const database = 'crash';
  const startInstance = async (): Promise<Instance> => {
    const env = {
      PORT: '0',
      MONGODB_URI: mongo.uri,
      MONGODB_DB_NAME: database,
      MAX_CONNECTIONS_PER_ADDRESS: '0',
      ACCEPTS_PER_SECOND_PER_ADDRESS: '0',
    };
    const child = startProgram('src/main', { env });
    const port = Number((await child.line(/"url":"http:\/\/[^":]+:(\d+)"/))[1]);
    await child.line(/"event":"ready"/);
    return { child, port };
  };
  const instances = [await startInstance(), await startInstance()];
  const servers = instances.map((_, at) => socketServer(() => instances[at]?.port ?? 0));
  const writer = createWriter(mongo.uri, database, TABLES);
  const readers: Reader[] = Array.from({ length: READERS }, (_, at) =>
    startReader(`reader ${at}`, at % 2 === 0 ? null : TABLES, () => servers),
  );
  const isBack = (): boolean => readers.every(({ follower }) => follower.acknowledged);
  await holds(isBack);
  const load = writer.start(LOAD_GAP_MS);

  const deeds = [
    ...Array.from({ length: counts.instances }, () => 'instance' as const),
    ...Array.from({ length: counts.mongos }, () => 'mongo' as const),
    ...Array.from({ length: counts.freezes }, () => 'freeze' as const),
  ];
  for (let left = deeds.length; left > 0; left--) {
    const [deed] = deeds.splice(chance.whole(0, deeds.length - 1), 1);
    await wait(chance.whole(50, 400));
    if (deed === 'instance') {
      const place = chance.whole(0, 1);
      await instances[place]?.child.end('SIGKILL');
      instances[place] = await startInstance();
    } else if (deed === 'mongo') {
      await mongo.child.end('SIGKILL');
      mongo = await startMongo(mongoPort);
    } else {
      process.kill(mongo.child.pid, 'SIGSTOP');
      await wait(FREEZE_MS);
      process.kill(mongo.child.pid, 'SIGCONT');
    }
    const before = writer.acknowledged.size;
    const isWell = await holds(() => isBack() && writer.acknowledged.size > before + TABLES.length);
    say(`${deed}, ${left - 1} to go${isWell ? '' : ': not back in time'}`);
    if (!isWell) break;
  }
  await load.stop();
  const truth = await readTruth(writer.numbers);
  await holds(() => readers.every(({ follower }) => isComplete(follower, truth)));
  const verdict = judge(
    readers.map(({ follower }) => follower),
    truth,
    [writer],
  );
  for (const reader of readers) reader.leave();
  await writer.close();
  await Promise.all(instances.map(({ child }) => child.end('SIGKILL')));
  await mongo.child.end('SIGKILL');
  rmSync(folder, { recursive: true });
  return { verdict, events: writer.acknowledged.size };
}
