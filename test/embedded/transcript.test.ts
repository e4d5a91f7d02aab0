import { Binary, type Document, UUID } from 'bson';
import { afterEach, describe, expect, test } from 'vitest';
import { type EmbeddedMongo, startEmbeddedMongo } from '../../src/embedded/server.ts';
import { mask, readTranscript, type Scenario, substituted, valueAt } from './support/transcript.ts';
import { connectWire, type WireClient } from './support/wire.ts';

/** Where this server answers otherwise than mongod 4.4.1 on purpose, and why a user is better off. */
interface Difference {
  readonly scenario: string;
  readonly step: number;
  readonly why: string;
  /** Makes both answers comparable; without it the step's answers are not compared. */
  readonly only?: (reply: Document) => Document;
}

const COLLECTION_STATS = [
  'ns',
  'size',
  'count',
  'capped',
  'max',
  'maxSize',
  'sleepCount',
  'sleepMS',
  'nindexes',
  'indexBuilds',
  'scaleFactor',
  'ok',
];

const DIFFERENCES: readonly Difference[] = [
  {
    scenario: 'handshake',
    step: 0,
    why: 'hello came with 4.4.2; every later server and every current shell has it',
  },
  {
    scenario: 'handshake',
    step: 1,
    why: 'the answer to helloOk tells drivers that they may say hello, which this server has',
    only: ({ helloOk: _ours, ...rest }) => rest,
  },
  {
    scenario: 'handshake',
    step: 3,
    why: 'buildInfo says which program this is: git hash, allocator and storage engines are not a real mongod’s',
    only: ({ version, versionArray, bits, debug, maxBsonObjectSize, modules, javascriptEngine, ok }) => ({
      version,
      versionArray,
      bits,
      debug,
      maxBsonObjectSize,
      modules,
      javascriptEngine,
      ok,
    }),
  },
  {
    scenario: 'collections',
    step: 11,
    why: 'WiredTiger’s internals and sizes on disk do not exist in memory',
    only: (reply) => Object.fromEntries(COLLECTION_STATS.map((name) => [name, reply[name]])),
  },
];

let server: EmbeddedMongo | undefined;
let client: WireClient | undefined;

afterEach(async () => {
  client?.close();
  await server?.stop();
  server = undefined;
  client = undefined;
});

/** Writes that push the first megabyte out of the oplog. */
async function overrunOplog(wire: WireClient): Promise<void> {
  for (let i = 0; i < 5; i += 1) {
    await wire.command({ insert: 'filler', documents: [{ text: 'x'.repeat(400_000) }], $db: 'foreign' });
  }
}

async function replay({ name, db, steps }: Scenario): Promise<void> {
  server = await startEmbeddedMongo({
    standalone: name === 'standalone',
    ...(name === 'history lost' ? { oplogSizeMb: 1 } : {}),
  });
  client = await connectWire(server.port);
  const saved = new Map<string, unknown>([['lsid', { id: new Binary(new UUID().buffer, 4) }]]);
  await client.command({ dropDatabase: 1, $db: db });
  for (const [index, step] of steps.entries()) {
    if (name === 'history lost' && index === 4) await overrunOplog(client);
    const command = substituted(step.command, saved);
    const reply = await client.command(command);
    for (const [variable, path] of Object.entries(step.save ?? {})) saved.set(variable, valueAt(reply, path));
    const difference = DIFFERENCES.find((one) => one.scenario === name && one.step === index);
    if (difference !== undefined && difference.only === undefined) continue;
    const narrow = difference?.only ?? ((one: Document) => one);
    const label = `${name}, step ${index}: ${JSON.stringify(command).slice(0, 200)}`;
    expect(mask(narrow(reply), command), label).toEqual(mask(narrow(step.reply), command));
  }
}

describe('every recorded command is answered as mongod 4.4 answered it', () => {
  for (const scenario of readTranscript()) {
    test(scenario.name, async () => {
      await replay(scenario);
    });
  }
});
