import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { MongoClient } from 'mongodb';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { blockCommands } from '../docs/commands.ts';
import { freshDatabase, startMongo, type TestMongo } from '../support/mongo.ts';
import { startProcess, startRuncashProcess } from '../support/process.ts';
import { type Heard, listenTo } from './stage.ts';

let mongo: TestMongo;
let client: MongoClient;
/** For all tests that do not end it; each has tables of its own. */
let live: Live;
const ending: (() => unknown)[] = [];

beforeAll(async () => {
  mongo = await startMongo();
  client = new MongoClient(mongo.uri);
  live = await startRuncashProcess(mongo.uri, freshDatabase(), { SOCKETIO: 'true' });
});
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});
afterAll(async () => {
  await live.end();
  await client.close();
  await mongo.stop();
});

type Live = Awaited<ReturnType<typeof startRuncashProcess>>;

async function start(env: Record<string, string> = {}, database = freshDatabase()): Promise<Live> {
  const started = await startRuncashProcess(mongo.uri, database, { SOCKETIO: 'true', ...env });
  ending.push(() => (started.child.exitCode === null ? started.end() : undefined));
  return started;
}

function listen(url: string, options: Parameters<typeof listenTo>[1] = {}): Heard {
  const heard = listenTo(url, options);
  ending.push(heard.close);
  return heard;
}

async function emit(url: string, event: string, data: Record<string, unknown>): Promise<void> {
  const answer = await fetch(`${url}/emit-event`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ event, data }),
  });
  expect([answer.status, await answer.json()]).toEqual([200, { success: true, message: 'Evento emitido com sucesso' }]);
}

describe('the service with SOCKETIO=true', () => {
  it('tells a client that subscribed by name on an empty database what the simulation plays afterwards', async () => {
    const empty = await start();
    const heard = listen(empty.url);
    await heard.heard('connection_success');
    // The table and the spelling of the first system's page.
    expect(await heard.socket.emitWithAck('subscribe_to_roleta', 'Speed Auto Roulette')).toMatchObject({
      ok: true,
      roletas: [{ referencia: 'Speed Auto Roulette', pending: true }],
    });
    expect(await heard.socket.emitWithAck('subscribe', { roletaId: 'evo-1@tables' })).toMatchObject({ ok: true });
    const simulator = startProcess('src/simulator/main.js', [
      ...['--url', empty.url, '--tables', '2010096,evo-1@tables', '--rate', '20', '--burst', '1', '--count', '40'],
    ]);
    ending.push(() => simulator.end());
    const named = async (table: string): Promise<unknown> => {
      for (let nth = 1; ; nth++) {
        const [event] = await heard.heard('new_number', nth);
        if (Object(event).roleta_id === table) return event;
      }
    };
    expect(await named('2010096')).toMatchObject({ type: 'new_number', roleta_nome: 'Speed Auto Roulette' });
    expect(await named('evo-1@tables')).toMatchObject({ type: 'new_number' });
    expect(heard.payloads('error')).toEqual([]);
  });

  it('tells a client that subscribed by name what a scraper posts, in the shapes of the first system', async () => {
    const table = { roleta_id: '2010165', roleta_nome: 'Ruleta Automática' };
    await emit(live.url, 'new_number', { ...table, numero: 17 });
    // With the library's own defaults: polling first, then an upgrade.
    const heard = listen(live.url);
    await heard.heard('connection_success');
    expect(heard.payloads('connection_status')).toEqual([{ connected: true, mongodb: true }]);
    heard.socket.emit('subscribe_to_roleta', 'Ruleta Automática');
    expect(await heard.heard('recent_history')).toMatchObject([[{ ...table, numero: 17, cor: 'preto' }]]);
    await emit(live.url, 'new_number', { ...table, numero: 0 });
    const number = { type: 'new_number', ...table, numero: 0, cor: 'verde', timestamp: expect.any(String) };
    expect(await heard.heard('new_number')).toEqual([number]);
    expect(await heard.heard('global_update')).toEqual([number]);
    const strategy = { ...table, estado: 'TRIGGER', numero_gatilho: 7, terminais_gatilho: [4, 7, 8] };
    await emit(live.url, 'strategy_update', { ...strategy, vitorias: 2, derrotas: 1, display_suggestion: 'APOSTAR' });
    const told = {
      type: 'strategy_update',
      ...strategy,
      vitorias: 2,
      derrotas: 1,
      sugestao_display: 'APOSTAR',
      timestamp: expect.any(String),
    };
    expect(await heard.heard('strategy_update')).toEqual([told]);
    expect(await heard.heard('global_strategy_update')).toEqual([told]);
    const late = listen(live.url, { transports: ['websocket'] });
    late.socket.emit('subscribe', { roletaId: 2010165 });
    expect(await late.heard('strategy_update')).toEqual([told]);
    late.socket.emit('request_history', { roletaId: '2010165' });
    expect(await late.heard('history_data')).toMatchObject([{ roletaId: '2010165', numeros: [{ numero: 0 }, {}] }]);
  });

  it('takes a name for every table of that name, with one history of both', async () => {
    for (const [roleta_id, numero] of [
      ['2010097', 1],
      ['2380117', 2],
    ]) {
      await emit(live.url, 'new_number', { roleta_id, roleta_nome: 'VIP Roulette', numero });
    }
    const heard = listen(live.url, { transports: ['websocket'] });
    const answer = await heard.socket.emitWithAck('subscribe_to_roleta', 'VIP Roulette');
    expect(answer).toMatchObject({ ok: true, roletas: [{ roleta_id: '2010097' }, { roleta_id: '2380117' }] });
    expect(heard.payloads('recent_history')).toMatchObject([
      [
        { roleta_id: '2380117', numero: 2 },
        { roleta_id: '2010097', numero: 1 },
      ],
    ]);
    await emit(live.url, 'new_number', { roleta_id: '2380117', roleta_nome: 'VIP Roulette', numero: 3 });
    await emit(live.url, 'new_number', { roleta_id: '2010097', roleta_nome: 'VIP Roulette', numero: 4 });
    await heard.heard('new_number', 2);
    expect(heard.payloads('new_number')).toMatchObject([{ roleta_id: '2380117' }, { roleta_id: '2010097' }]);
  });

  it('gives a client that comes back after a restart what it missed as events', async () => {
    const database = freshDatabase();
    const first = await start({}, database);
    const heard = listen(first.url, { transports: ['websocket'], auth: { after: '' } });
    await heard.socket.emitWithAck('subscribe', '2010165');
    await emit(first.url, 'new_number', { roleta_id: '2010165', roleta_nome: 'Roulette', numero: 1 });
    const [, position] = await heard.heard('new_number');
    expect(await first.end()).toBe(0);
    const numbers = client.db(database).collection('roleta_numeros', { writeConcern: { w: 'majority', j: true } });
    for (const numero of [2, 3]) {
      await numbers.insertOne({ roleta_id: '2010165', roleta_nome: 'Roulette', numero, timestamp: new Date() });
    }
    const second = await start({}, database);
    const back = listen(second.url, { transports: ['websocket'], auth: { after: position } });
    expect(await back.heard('recovery_status')).toEqual([{ recovered: true, replayed: 2 }]);
    await back.socket.emitWithAck('subscribe', 'Roulette');
    expect(back.payloads('new_number')).toMatchObject([{ numero: 2 }, { numero: 3 }]);
    expect(back.payloads('global_update')).toMatchObject([{ numero: 2 }, { numero: 3 }]);
    expect(back.payloads('recent_history')).toEqual([]);
  });

  it('sends its clients away on SIGTERM and ends', async () => {
    const leaving = await start({ DRAIN_SECONDS: '1' });
    const clients = [
      listen(leaving.url, { transports: ['polling'] }),
      listen(leaving.url, { transports: ['websocket'] }),
    ];
    await Promise.all(clients.map((heard) => heard.heard('connection_success')));
    const away = clients.map((heard) => new Promise((resolve) => heard.socket.once('disconnect', resolve)));
    expect(await leaving.end()).toBe(0);
    await Promise.all(away);
    expect(leaving.lines.filter((line) => line.includes('callback_failed'))).toEqual([]);
  });

  it('serves the page and the library’s own bundle, under the policy of pages', async () => {
    expect(existsSync('dist/page/legacy.html'), 'the page is built').toBe(true);
    const page = await fetch(`${live.url}/legacy.html`);
    expect(page.headers.get('content-security-policy')).toContain("script-src 'self'");
    const text = await page.text();
    const addresses = [...text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '');
    expect(addresses).toEqual(['data:,', '/legacy.css', '/socket.io/socket.io.min.js', '/legacy.js']);
    for (const address of [...addresses.slice(1), '/socket.io/socket.io.js', '/socket.io/socket.io.esm.min.js']) {
      const file = await fetch(live.url + address);
      expect([address, file.status]).toEqual([address, 200]);
      expect(file.headers.get('content-type')).toMatch(/^text\/(javascript|css)/);
    }
  });

  it('shows its connections by transport', async () => {
    await listen(live.url).heard('connection_success');
    const metrics = async (): Promise<string> => await (await fetch(`${live.url}/metrics`)).text();
    await expect.poll(metrics).toMatch(/^runcash_connections\{.*transport="socketio".*\} 1$/m);
  });
});

describe('the service without SOCKETIO', () => {
  it('has neither Socket.IO nor its page, and does not load it', async () => {
    const plain = await start({ SOCKETIO: 'false' });
    for (const path of ['/socket.io/?EIO=4&transport=polling', '/socket.io/socket.io.js', '/legacy.html']) {
      expect([path, (await fetch(plain.url + path)).status]).toEqual([path, 404]);
    }
    const loaded = ["import 'node:module';", "import './dist/src/app/start.js';"].join('');
    const script = `${loaded} import { createRequire } from 'node:module';
      console.log(Object.keys(createRequire(import.meta.url).cache).filter((file) => /socket\\.io|engine\\.io/.test(file)).length);`;
    const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], { encoding: 'utf8' });
    expect(output.trim()).toBe('0');
  });
});

describe('MIGRATION.md', () => {
  it('starts the service so with one line for each shell', () => {
    const lines = blockCommands(readFileSync('src/legacy/MIGRATION.md', 'utf8')).filter((line) =>
      line.includes('SOCKETIO'),
    );
    // What stands before && belongs to the value in cmd, also a space.
    expect(lines).toEqual(['npm ci && SOCKETIO=true npm start', 'npm ci && set SOCKETIO=true&& npm start']);
    expect(readFileSync('package.json', 'utf8')).toMatch(/"start": ".*node dist\/src\/main\.js"/);
  });
});

describe('runcash-live simulate --legacy', () => {
  it('plays the first simulation, and a first client sees it', async () => {
    const heard = listen(live.url, { transports: ['websocket'] });
    await heard.heard('connection_success');
    const simulator = startProcess('src/simulator/main.js', [
      ...['--legacy', '--url', live.url, '--speed', '100', '--count', '12'],
    ]);
    expect(await simulator.exited, simulator.lines.join('\n')).toBe(0);
    await heard.heard('global_update', 12);
    await heard.heard('global_strategy_update', 4);
    expect(simulator.lines.at(-1)).toMatch(/sent 16, acknowledged 16/);
  });
});
