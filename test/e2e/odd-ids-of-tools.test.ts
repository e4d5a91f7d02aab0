import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MongoClient, ObjectId } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkMongo } from '../../src/cli/doctor-mongo.ts';
import { runTail } from '../../src/cli/tail.ts';
import { runToken } from '../../src/cli/token.ts';
import { secretKey } from '../../src/gateway/door/jwt-keys.ts';
import { createSources } from '../../src/roulette/source.ts';
import { simulatorOptions } from '../../src/simulator/options.ts';
import { simulate } from '../../src/simulator/run.ts';
import { type Stage, startStage } from '../docs/stage.ts';
import { readExposition, seriesValue } from '../metrics/exposition.ts';
import { exportOf } from '../support/export.ts';
import { connectWebsocket } from '../support/inbox.ts';

const SECRET = 'a secret of more than thirty-two bytes';
const ADMIN_KEY = 'key-of-operators-0123';
const IDS = ['LightningRoulette00001@evolution', 'a/b', '50%', '🎰', 'x'.repeat(64), '__proto__', '221', '0221'];

let stage: Stage;
let mongo: MongoClient;
let folder: string;

beforeAll(async () => {
  stage = await startStage({ AUTH: 'jwt', JWT_SECRET: SECRET, ADMIN_KEY, PUBLIC_READS: 'false' });
  mongo = await new MongoClient(stage.mongoUri).connect();
  folder = await mkdtemp(join(tmpdir(), 'runcash-odd-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
  await mongo.close();
  await stage.stop();
});

/** Of `runcash-live token make`, for this table alone. */
async function tokenFor(id: string): Promise<string> {
  const lines: string[] = [];
  const auth = { mode: 'jwt', keys: [secretKey(null, SECRET)], jwksUrl: null, issuer: null, audience: null } as const;
  const sink = { print: (line: string) => void lines.push(line), note: () => undefined };
  expect(await runToken(['make', '--tables', id], { auth, ...sink })).toBe(0);
  return lines.join('');
}

const play = async (args: readonly string[]) => {
  const options = simulatorOptions(['--url', stage.url, ...args], {
    url: stage.url,
    key: null,
    mongodb: stage.mongoUri,
  });
  if (options === null) throw new Error('usage was asked for');
  const { tally } = await simulate(options, {
    print: () => undefined,
    databases: { shared: stage.database, tables: stage.database },
    signal: AbortSignal.timeout(20_000),
  });
  return tally;
};

const asOperator = async (path: string): Promise<string> =>
  await (await fetch(`${stage.url}${path}`, { headers: { 'x-api-key': ADMIN_KEY } })).text();

describe.each(IDS)('the tools with a table of the id %j', (id) => {
  it('play it, replay it, follow it, export it and sign tokens for it alone', async () => {
    const token = await tokenFor(id);
    const topic = `roulette:${id}`;
    const client = await connectWebsocket(new URL(stage.url).host, { path: `/ws?token=${token}` });
    client.send({ type: 'subscribe', id: 1, topics: [topic] });
    await client.next('subscribed');
    const lines: string[] = [];
    const tailed = runTail(['--json', '--count', '2', '--token', token, '--', id], {
      print: (line) => void lines.push(line),
      note: () => undefined,
      signal: AbortSignal.timeout(20_000),
      defaultUrl: stage.url,
    });
    await expect
      .poll(async () => JSON.parse(await asOperator('/api/v1/clients')))
      .toMatchObject({
        clients: [{ topics: [topic] }, { topics: [topic] }],
      });
    expect(await play(['--tables', id, '--count', '1', '--no-strategy'])).toMatchObject({ acknowledged: 1, lost: 0 });
    await client.next('new_number');
    const file = join(folder, 'recording.json');
    const recorded = {
      _id: new ObjectId().toHexString(),
      roleta_id: id,
      roleta_nome: id,
      numero: '00',
      timestamp: Date.now(),
    };
    await writeFile(file, JSON.stringify([recorded]));
    expect(await play(['--replay', file])).toMatchObject({ acknowledged: 1, lost: 0 });
    expect(await client.next('new_number')).toMatchObject({ topic, roleta_id: id, numero: 37, rotulo: '00' });
    expect(await tailed).toBe(0);
    expect(lines.map((line): unknown => JSON.parse(line))).toMatchObject([
      { roleta_id: id },
      { roleta_id: id, numero: 37 },
    ]);

    const rows = await exportOf(['--format', 'ndjson', '--token', token, '--', id], stage.url);
    expect(rows.trimEnd().split('\n')).toHaveLength(2);
    const seen = await fetch(`${stage.url}/api/v1/tables`, { headers: { authorization: `Bearer ${token}` } });
    expect(await seen.json()).toMatchObject({ tables: [{ roleta_id: id }] });
    client.socket.close();
    const samples = readExposition(await asOperator('/metrics'));
    expect(seriesValue(samples, 'runcash_table_silence_seconds', { table: id })).toBeLessThan(60);
  });

  it('name it where its scraper writes local time', async () => {
    const late = Array.from({ length: 5 }, (_, n) => ({
      _id: new ObjectId(),
      roleta_id: id,
      numero: n,
      timestamp: new Date(Date.now() - 3 * 3_600_000 + n),
    }));
    const database = mongo.db(`${stage.database}_late`);
    await database.dropDatabase();
    await database.collection('roleta_numeros').insertMany(late);
    const findings = await checkMongo({
      client: mongo,
      databases: [database.databaseName],
      recoveryWindowSeconds: 600,
      sources: createSources(),
      liveMaxAgeMs: 120_000,
      readPreference: 'primary',
    });
    expect(findings.map(({ found }) => found).join('\n')).toContain(`dated too early: ${id} by 180 min`);
  });
});
