import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { type Child, startProgram } from '../harness/child.ts';
import type { Chance } from './chance.ts';
import { isComplete, judge, readTruth, type Verdict } from './checker.ts';
import { holds, wait } from './crash.ts';
import { type Reader, type Server, startReader } from './reader.ts';
import { socketServer } from './socket.ts';
import { TABLES } from './world.ts';
import { createWriter } from './writer.ts';

const CORES = 2;
const LEAVES = 6;
const READERS = 24;
const LOAD_GAP_MS = 20;
const DATABASE = 'leaves';
const KEY = 'chaos-of-cores-and-leaves';

/** The way from leaves to a core, which can be cut: all its connections are reset, and new ones pass. */
interface Way {
  readonly port: number;
  cut(): void;
  stop(): void;
}

async function openWay(target: () => number): Promise<Way> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(target(), '127.0.0.1');
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.pipe(other);
      // Either end's error ends both; who was connected sees that.
      one.on('error', () => one.destroy());
      one.on('close', () => {
        sockets.delete(one);
        other.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port: address === null || typeof address === 'string' ? 0 : address.port,
    cut,
    stop() {
      cut();
      server.close();
    },
  };
}

/** A service as a process, which can be killed and started again elsewhere. */
interface Station {
  readonly kind: 'core' | 'leaf';
  readonly env: Readonly<Record<string, string>>;
  child: Child;
  port: number;
}

async function launch(env: Station['env']): Promise<Pick<Station, 'child' | 'port'>> {
  const limits = { PORT: '0', MAX_CONNECTIONS_PER_ADDRESS: '0', ACCEPTS_PER_SECOND_PER_ADDRESS: '0' };
  const child = startProgram('src/main', { env: { ...limits, ADMIN_KEY: KEY, ...env } });
  const port = Number((await child.line(/"url":"http:\/\/[^":]+:(\d+)"/))[1]);
  await child.line(/"event":"ready"/);
  return { child, port };
}

/** Compares the frames of events that servers send, whichever and to whomever. */
function compareFrames() {
  const frames = new Map<string, string>();
  const differences: string[] = [];
  let compared = 0;
  return {
    differences,
    compared: () => compared,
    watched: (server: Server): Server => ({
      connect: (events, pace) =>
        server.connect(
          {
            ...events,
            frame(text) {
              const [, at] =
                /^\{"type":"(?:new_number|number_\w+|strategy_update)".*?"position":"(\w+)"/.exec(text) ?? [];
              if (at !== undefined) {
                const key = `${at} ${/"topic":"[^"]*"/.exec(text)?.[0]}`;
                const before = frames.get(key) ?? text;
                frames.set(key, before);
                compared++;
                if (before !== text && differences.length < 20) differences.push(`${before}\n  ${text}`);
              }
              events.frame(text);
            },
          },
          pace,
        ),
    }),
  };
}

export interface LeavesResult {
  readonly verdict: Verdict;
  readonly events: number;
  /** Frames of events that were compared with those of the same position from other servers. */
  readonly compared: number;
  /** Times that a client that came back was given a snapshot instead of what it had missed. */
  readonly unrecovered: number;
}

/**
 * Two cores on one MongoDB and six leaves that follow them, as processes. So often, at random: one of them is killed and
 * started again, the ways from leaves to a core are cut, or clients change over to any other of the eight. Under load.
 */
export async function tryLeaves(deeds: number, chance: Chance, say: (words: string) => void): Promise<LeavesResult> {
  const mongo = startProgram('src/embedded/main', { args: ['--port', '0'] });
  const uri = (await mongo.line(/listening (mongodb:\S+)/))[1] ?? '';
  const stations: Station[] = [];
  const start = async (kind: Station['kind'], env: Station['env']): Promise<void> => {
    stations.push({ kind, env, ...(await launch(env)) });
  };
  for (let at = 0; at < CORES; at++) await start('core', { MONGODB_URI: uri, MONGODB_DB_NAME: DATABASE });
  const ways = await Promise.all(stations.map((core) => openWay(() => core.port)));
  for (let at = 0; at < LEAVES; at++) {
    const upstream = ways.map((_, turn) => `ws://127.0.0.1:${ways[(at + turn) % CORES]?.port}`);
    await start('leaf', { UPSTREAM: upstream.join(','), UPSTREAM_KEY: KEY });
  }
  const frames = compareFrames();
  const servers = stations.map((station) => frames.watched(socketServer(() => station.port)));
  const readers: Reader[] = Array.from({ length: READERS }, (_, at) =>
    startReader(`reader ${at}`, at % 2 === 0 ? null : TABLES, () => servers),
  );
  const writer = createWriter(uri, DATABASE, TABLES);
  const isBack = (): boolean => readers.every(({ follower }) => follower.acknowledged);
  const load = writer.start(LOAD_GAP_MS);
  const deed = async (): Promise<string> => {
    const kind = chance.pick(['core', 'leaf', 'leaf', 'cut', 'cut', 'hop', 'hop', 'hop'] as const);
    if (kind === 'cut') chance.pick(ways).cut();
    else if (kind === 'hop') {
      for (const reader of readers) if (chance.next() < 0.5) reader.move(chance.pick(servers));
    } else {
      const station = chance.pick(stations.filter((one) => one.kind === kind));
      await station.child.end('SIGKILL');
      Object.assign(station, await launch(station.env));
    }
    return kind;
  };
  await holds(isBack);
  for (let left = deeds - 1; left >= 0; left--) {
    await wait(chance.whole(20, 200));
    const done = await deed();
    const before = writer.acknowledged.size;
    const isWell = await holds(() => isBack() && writer.acknowledged.size > before + TABLES.length);
    say(`${done}, ${left} to go${isWell ? '' : ': not back in time'}`);
    if (!isWell) break;
  }
  await load.stop();
  const truth = await readTruth(writer.numbers);
  await holds(() => readers.every(({ follower }) => isComplete(follower, truth)));
  const followers = readers.map(({ follower }) => follower);
  const verdict = judge(followers, truth, [writer]);
  verdict.words.push(...frames.differences);
  const unrecovered = followers
    .flatMap(({ recoveries }) => recoveries)
    .filter(({ recovered, reason }) => recovered === false && reason !== 'new').length;
  for (const reader of readers) reader.leave();
  await writer.close();
  for (const way of ways) way.stop();
  await Promise.all(stations.map(({ child }) => child.end('SIGKILL')));
  await mongo.end('SIGKILL');
  return { verdict, events: writer.acknowledged.size, compared: frames.compared(), unrecovered };
}
