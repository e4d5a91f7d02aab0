import { spawn, spawnSync } from 'node:child_process';
import { on, once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { createChance } from '../../bench/chaos/chance.ts';
import { isFields } from '../../src/client/read.ts';
import { freshDatabase, startMongo } from '../support/mongo.ts';
import { startRuncashProcess } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';

const PYTHON = process.env['TEST_PYTHON'] ?? '/usr/bin/python3';
const hasPython = spawnSync(PYTHON, ['-c', '']).status === 0;
const hasWebsockets = hasPython && spawnSync(PYTHON, ['-c', 'import websockets']).status === 0;

const TABLES = Array.from({ length: 39 }, (_, index) => String(2010000 + index));
const SINGLES = TABLES.slice(0, 21);
/** Cut every 1 to 5 s and killed every 45 s, ten times as fast here; `TEST_CHAOS_SCALE=1` is that pace itself. */
const SCALE = Number(process.env['TEST_CHAOS_SCALE'] ?? '0.1');
const KILLS = 3;

const OVER_WEBSOCKET = `
import asyncio, json, sys
from runcash_live import Client

async def main():
    async with Client(sys.argv[1], sys.argv[2:]) as client:
        async for message in client:
            print(json.dumps(message), flush=True)

asyncio.run(main())
`;
const OVER_POLL = `
import json, sys
from runcash_live.longpoll import follow

for message in follow(sys.argv[1], sys.argv[2:]):
    print(json.dumps(message), flush=True)
`;

/** Prints every function of the package that has a parameter or a result without a type. */
const UNTYPED = `
import ast, pathlib
for file in pathlib.Path("src/client/python/runcash_live").glob("*.py"):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            if node.returns is None or any(each.annotation is None for each in given if each.arg != "self"):
                print(file.name, node.name)
`;

/** Cuts every connection and kills the service, each at its pace, until it is stopped. */
function startFaults(proxy: { cut(): void }, kill: () => Promise<void>) {
  const chance = createChance(1);
  const over = new AbortController();
  let cuts = 0;
  let kills = 0;
  const repeat = async (delayMs: () => number, fault: () => unknown): Promise<void> => {
    while (!over.signal.aborted) {
      // Ends early when the faults are over.
      await pause(delayMs() * SCALE, undefined, over).catch(() => undefined);
      if (!over.signal.aborted) await fault();
    }
  };
  const running = [
    repeat(
      () => chance.whole(1_000, 5_000),
      () => {
        cuts += 1;
        proxy.cut();
      },
    ),
    repeat(
      () => 45_000,
      async () => {
        await kill();
        kills += 1;
      },
    ),
  ];
  return {
    cuts: () => cuts,
    kills: () => kills,
    async stop(): Promise<void> {
      over.abort();
      await Promise.all(running);
    },
  };
}

/** A Python program that prints what it was handed, and how often it was handed each number. */
function follower(program: string, url: string, topics: readonly string[]) {
  const child = spawn(PYTHON, ['-c', program, url, ...topics], {
    env: { ...process.env, PYTHONPATH: 'src/client/python' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  process.once('exit', () => child.kill('SIGKILL'));
  const numbers = new Map<string, string[]>();
  const positions = new Map<string, string>();
  const seen = { snapshots: new Set<string>(), lost: 0, disordered: 0, errors: '' };
  let looks: (() => void)[] = [];
  child.stderr.on('data', (piece) => {
    seen.errors += String(piece);
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message: unknown = JSON.parse(line);
    if (!isFields(message)) return;
    const topic = String(message['topic']);
    if (message['type'] === 'snapshot') seen.snapshots.add(topic);
    if (message['type'] === 'lost') seen.lost += 1;
    if (message['type'] === 'new_number') {
      const position = String(message['position']);
      if (position <= (positions.get(topic) ?? '')) seen.disordered += 1;
      positions.set(topic, position);
      numbers.set(topic, [...(numbers.get(topic) ?? []), String(message['id'])]);
    }
    const waiting = looks;
    looks = [];
    for (const look of waiting) look();
  });
  const ended = once(child, 'close').then(() => Promise.reject(new Error(`the program ended: ${seen.errors}`)));
  // Only who waits for more is told.
  ended.catch(() => undefined);
  const count = (): number => [...numbers.values()].reduce((sum, ids) => sum + ids.length, 0);
  return {
    seen,
    numbers,
    count,
    /** Resolves once `done` holds; looked at after every message. */
    async until(done: () => boolean): Promise<void> {
      while (!done()) {
        await Promise.race([new Promise<void>((resolve) => looks.push(resolve)), ended]);
      }
    },
    end: () => child.kill('SIGKILL'),
  };
}

describe.skipIf(!hasPython)('the Python client', () => {
  let mongo: Awaited<ReturnType<typeof startMongo>>;
  let client: MongoClient;
  beforeAll(async () => {
    mongo = await startMongo();
    client = await new MongoClient(mongo.uri, { writeConcern: { w: 'majority' } }).connect();
  });
  afterAll(async () => {
    await client?.close();
    await mongo?.stop();
  });

  const cases = [
    ...(hasWebsockets
      ? ([
          ['all tables over WebSocket', OVER_WEBSOCKET, ['*'], TABLES],
          ['21 single tables over WebSocket', OVER_WEBSOCKET, SINGLES.map((id) => `roulette:${id}`), SINGLES],
        ] as const)
      : []),
    ['all tables by long-polling with the standard library', OVER_POLL, ['*'], TABLES] as const,
  ];

  it.each(cases)(
    'follows %s through cuts and kills: nothing lost, twice or out of order',
    async (_name, program, topics, tables) => {
      const database = freshDatabase();
      const numbers = client.db(database).collection('roleta_numeros');
      const written = new Map<string, string[]>();
      const insert = async (table: string, index: number): Promise<void> => {
        const { insertedId } = await numbers.insertOne({
          roleta_id: table,
          roleta_nome: `Mesa ${table}`,
          numero: index % 37,
          timestamp: new Date(),
        });
        const topic = `roulette:${table}`;
        written.set(topic, [...(written.get(topic) ?? []), insertedId.toHexString()]);
      };
      await Promise.all(TABLES.map((table) => insert(table, 0)));
      let live = await startRuncashProcess(mongo.uri, database);
      const proxy = await startProxy(() => live.port);
      const python = follower(program, `http://127.0.0.1:${proxy.port}`, topics);
      const faults = startFaults(proxy, async () => {
        await live.end('SIGKILL');
        live = await startRuncashProcess(mongo.uri, database);
      });
      try {
        await python.until(() => tables.every((table) => python.seen.snapshots.has(`roulette:${table}`)));
        written.clear();
        let rounds = 0;
        for (; faults.kills() < KILLS; rounds += 1) {
          const before = python.count();
          await Promise.all(TABLES.map((table) => insert(table, rounds)));
          await python.until(() => python.count() > before);
        }
        await faults.stop();
        await python.until(() => python.count() >= tables.length * rounds);
        expect(python.numbers).toEqual(
          new Map([...written].filter(([topic]) => tables.includes(topic.slice('roulette:'.length)))),
        );
        expect(python.seen).toMatchObject({ lost: 0, disordered: 0, errors: '' });
        expect(faults.cuts()).toBeGreaterThan(KILLS);
      } finally {
        await faults.stop();
        python.end();
        await proxy.close();
        await live.end('SIGKILL');
      }
    },
    // The client backs off for up to 15 s, at whichever pace it is cut.
    KILLS * 45_000 * SCALE + 240_000,
  );

  it.skipIf(!hasWebsockets)('asks whether anybody is there after the silence of the ping interval', async () => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    const address = server.address();
    const port = isFields(address) ? String(address['port']) : '';
    const python = follower(OVER_WEBSOCKET, `http://127.0.0.1:${port}`, ['roulette:2010011']);
    try {
      const [socket] = await once(server, 'connection');
      const limits = { topics: 100, frame_bytes: 4096 };
      socket.send(
        JSON.stringify({ type: 'hello', protocol: 1, epoch: 'e1', position: '0'.repeat(22), ping_s: 1, limits }),
      );
      const said: unknown[] = [];
      for await (const [text] of on(socket, 'message')) {
        const { type } = JSON.parse(String(text));
        said.push(type);
        if (type === 'ping') break;
      }
      expect(said).toEqual(['subscribe', 'ping']);
    } finally {
      python.end();
      server.close();
      for (const client of server.clients) client.terminate();
    }
  });

  it('is typed throughout', () => {
    const { stdout, stderr } = spawnSync(PYTHON, ['-c', UNTYPED], { encoding: 'utf8' });
    expect(stdout + stderr).toBe('');
    expect(existsSync('src/client/python/runcash_live/py.typed')).toBe(true);
  });
});
