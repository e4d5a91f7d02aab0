import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Runcash, startRuncash } from '../../src/app/start.ts';
import { runTail } from '../../src/cli/tail.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createLog } from '../../src/log/log.ts';
import { simulatorOptions } from '../../src/simulator/options.ts';
import { simulate, succeeded } from '../../src/simulator/run.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';

const database = freshDatabase();
let mongo: TestMongo;
let client: MongoClient;
let live: Runcash;
let url: string;

beforeAll(async () => {
  mongo = await startMongo();
  client = await new MongoClient(mongo.uri).connect();
  live = await start();
  url = `http://127.0.0.1:${live.port}`;
});
afterAll(async () => {
  await live.stop(0);
  await client.close();
  await mongo.stop();
});

async function start(): Promise<Runcash> {
  const { config } = loadConfig({ PORT: '0', MONGODB_DB_NAME: database });
  const output = new Writable({ write: (_chunk, _encoding, done) => done() });
  const log = await createLog({ level: 'error', pretty: false, output });
  const begun = await startRuncash({
    config,
    mongoUri: mongo.uri,
    version: '0.0.0',
    log,
    pageFolder: '/nowhere',
    worker: null,
  });
  await begun.ready;
  return begun;
}

/** An address that stays while the service behind it changes its port, as a load balancer's does. */
async function startDoor(): Promise<{ url: string; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  const door = createServer((outer) => {
    const inner = connect(live.port, '127.0.0.1');
    for (const [one, other] of [[outer, inner] as const, [inner, outer] as const]) {
      sockets.add(one);
      one.pipe(other);
      one
        .on('error', () => other.destroy())
        .on('close', () => {
          sockets.delete(one);
          other.destroy();
        });
    }
  }).listen(0, '127.0.0.1');
  await once(door, 'listening');
  const { port } = door.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    async stop() {
      const closed = once(door, 'close');
      door.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

const insert = (roleta_id: string, numero: number) =>
  client
    .db(database)
    .collection('roleta_numeros')
    .insertOne({ roleta_id, roleta_nome: 'Mesa', numero, timestamp: new Date() });

async function tail(args: string[], printed: (line: string) => void = () => undefined) {
  const lines: string[] = [];
  const notes: string[] = [];
  const code = await runTail(args, {
    print: (line) => {
      lines.push(line);
      printed(line);
    },
    note: (line) => void notes.push(line),
    signal: AbortSignal.timeout(15_000),
    defaultUrl: url,
  });
  return { code, lines, notes: notes.join('\n') };
}

describe('runcash-live tail', () => {
  it('prints the numbers of one table as they happen, zero included, and ends at its count', async () => {
    await insert('2010165', 5);
    // The line of the snapshot shows that the topic was taken up.
    const { code, lines } = await tail(['2010165', '--history', '1', '--count', '2'], (line) => {
      if (!line.includes('last:')) return;
      void insert('2010033', 9);
      void insert('2010165', 0).then(() => insert('2010165', 17));
    });
    expect(code).toBe(0);
    expect(lines).toEqual([
      '2010165  Mesa  last: 5',
      expect.stringMatching(/^\d{4}-\S+Z {2}2010165 {2}Mesa {2}0 verde$/),
      expect.stringMatching(/ {2}17 preto$/),
    ]);
  });

  it('prints messages as they came with --json', async () => {
    const started = tail(['*', '--json', '--count', '1']);
    const ticker = setInterval(() => void insert('2010097', 32), 100);
    const { lines } = await started;
    clearInterval(ticker);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      type: 'new_number',
      roleta_id: '2010097',
      numero: 32,
      cor: 'vermelho',
    });
  });

  it('waits for a table that is not known yet', async () => {
    const started = tail(['live-1@tail', '--count', '1']);
    const ticker = setInterval(() => void insert('live-1@tail', 32), 100);
    const { code, lines, notes } = await started;
    clearInterval(ticker);
    expect(code).toBe(0);
    expect(lines.join()).toContain('live-1@tail');
    expect(notes).toContain('waiting for it');
  });

  it('explains a command line that it cannot follow', async () => {
    const wrong = [[], ['a', 'b'], ['*', '--history', '201'], ['*', '--count', 'x'], ['*', '--what']];
    for (const args of [...wrong, ['roulette:'], ['*', '--url', 'nonsense'], ['*', '--url', 'ftp://127.0.0.1']]) {
      const { code, notes } = await tail(args);
      expect([args, code]).toEqual([args, 2]);
      expect(notes).toContain('runcash-live tail <topic>');
    }
    expect((await tail(['--help'])).code).toBe(0);
  });
});

describe('the simulator against the real service', () => {
  async function run(args: readonly string[], eachSecond: () => void = () => undefined, at = url) {
    const options = simulatorOptions(args, { url: at, key: null, mongodb: mongo.uri });
    if (options === null) throw new Error('usage was asked for');
    return await simulate(options, {
      print: (_line, isLive) => {
        if (isLive) eachSecond();
      },
      databases: { shared: database, tables: database },
      signal: AbortSignal.timeout(45_000),
    });
  }
  const REPLAY = ['--replay', 'test/data/numbers-2025-04-11.json', '--speed', '100', '--verify'];

  it('posts the recorded numbers, and every one is delivered exactly once', async () => {
    const result = await run(REPLAY);
    expect(result.verification).toEqual({ delivered: 200, missing: [], repeated: [] });
    expect(succeeded(result)).toBe(true);
  });

  it('inserts the recorded numbers with a plain driver, and every one is delivered exactly once', async () => {
    const result = await run([...REPLAY, '--direct']);
    expect(result.verification).toEqual({ delivered: 200, missing: [], repeated: [] });
  });

  it('inserts into the per-table layout with strategies, and everything is delivered exactly once', async () => {
    const args = [
      '--direct',
      '--layout',
      'per-table',
      '--tables',
      '5',
      '--rate',
      '100',
      '--count',
      '150',
      '--seed',
      '9',
      '--verify',
    ];
    const result = await run(args);
    expect(result.tally.sent).toBeGreaterThan(155);
    expect(result.verification).toEqual({ delivered: result.tally.sent, missing: [], repeated: [] });
  });

  it('plays croupier over HTTP with strategies and a restarted scraper', async () => {
    const result = await run(['--rate', '200', '--count', '200', '--tables', '6', '--seed', '4', '--verify']);
    expect(result.verification).toEqual({ delivered: result.tally.sent, missing: [], repeated: [] });
  });

  it('loses nothing when the service ends and starts again in the middle', async () => {
    let restarted: Promise<void> | null = null;
    const args = ['--rate', '30', '--duration', '3', '--tables', '8', '--seed', '2', '--verify'];
    const door = await startDoor();
    const result = await run(
      args,
      () => {
        restarted ??= (async () => {
          await live.stop(0);
          live = await start();
        })();
      },
      door.url,
    );
    await restarted;
    await door.stop();
    expect(result.tally.errors).toBeGreaterThan(0);
    expect(result.tally.sent).toBeGreaterThan(40);
    expect(result.verification).toEqual({ delivered: result.tally.sent, missing: [], repeated: [] });
    expect(result.tally.lost + result.tally.refused).toBe(0);
  }, 60_000);
});
