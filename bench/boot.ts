import { setTimeout as delay } from 'node:timers/promises';
import { MongoClient, type OptionalUnlessRequiredId } from 'mongodb';
import { nowUs } from './harness/clock.ts';
import { freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, medianOf, rowsOf, type Sample } from './harness/outcome.ts';
import { dataCommands, startProxy } from './harness/proxy.ts';
import { loadTables, type Table } from './harness/spin.ts';
import { OURS, startOurs } from './harness/subject.ts';
import { rssKb } from './harness/usage.ts';

/** Start over a database of a million numbers in all the layouts that are in the field: when are clients served? */

type Row = OptionalUnlessRequiredId<Record<string, unknown>>;

const BATCH = 5_000;
const WINDOW_SECONDS = 5;
const DAY_MS = 86_400_000;

/** A number of long ago; every spelling of ids and times that writers use. */
function shared(table: Table, index: number): Row {
  const when = new Date(Date.now() - DAY_MS - index * 1_000);
  const timestamp = [when, when.toISOString(), when.getTime(), when.toISOString().replace('Z', '123')][index % 4];
  const roleta_id = index % 5 === 0 ? Number(table.id) : table.id;
  return { roleta_id, roleta_nome: table.name, numero: index % 37, cor: 'preto', timestamp, criado_em: when };
}

function perTable(index: number): Row {
  const when = new Date(Date.now() - DAY_MS - index * 1_000);
  return { numero: index % 37, cor: 'preto', timestamp: when, criado_em: when };
}

async function fill(client: MongoClient, database: string, numbers: number): Promise<void> {
  const db = client.db(database);
  const tables = loadTables();
  const each = Math.ceil(numbers / tables.length);
  const insert = async (collection: string, rows: readonly Row[]): Promise<void> => {
    if (rows.length > 0) await db.collection<Record<string, unknown>>(collection).insertMany(rows, { ordered: false });
  };
  for (const [place, table] of tables.entries()) {
    // Two of three tables in the shared layout, the third in a collection of its own.
    const isShared = place % 3 !== 2;
    for (let from = 0; from < each; from += BATCH) {
      const indexes = Array.from({ length: Math.min(BATCH, each - from) }, (_, index) => from + index);
      await insert(
        isShared ? 'roleta_numeros' : table.id,
        indexes.map((index) => (isShared ? shared(table, index) : perTable(index))),
      );
    }
    if (!isShared)
      await insert('metadados', [{ roleta_id: table.id, roleta_nome: table.name, colecao: table.id, ativa: true }]);
    const estados = ['NEUTRAL', 'TRIGGER', 'POST_GALE_NEUTRAL'];
    const strategies = estados.map((estado, index) => ({
      roleta_id: table.id,
      roleta_nome: table.name,
      estado,
      numero_gatilho: index,
      terminais_gatilho: [1, 2, 3],
      vitorias: index,
      derrotas: 0,
      timestamp: new Date(Date.now() - DAY_MS),
    }));
    await insert('estrategia_historico_novo', strategies);
  }
}

async function measure(uri: string, database: string, setting: string, tables: number, round: number): Promise<Sample> {
  const proxy = await startProxy(uri);
  const startedUs = nowUs();
  const ours = await startOurs({ uri: proxy.uri, database }, { RECOVERY_WINDOW_SECONDS: String(WINDOW_SECONDS) });
  const listeningUs = nowUs();
  const [words] = await ours.ready;
  const readyUs = nowUs();
  const bytes = proxy.answeredBytes();
  const commands = dataCommands(proxy.commands());
  const counted = (name: string): number =>
    commands.reduce((sum, [command, count]) => sum + (command.startsWith(name) ? count : 0), 0);
  const rss = rssKb(ours.child.pid);
  const served = Number(/"tables":(\d+)/.exec(words)?.[1] ?? 0);
  await ours.child.end();
  await proxy.stop();
  return {
    variant: OURS.name,
    setting,
    round,
    figures: {
      ready_s: (readyUs - startedUs) / 1e6,
      listening_s: (listeningUs - startedUs) / 1e6,
      read_mb: bytes / 2 ** 20,
      finds: counted('find'),
      aggregates: counted('aggregate'),
      index_builds: counted('createIndexes'),
      rss_mb: rss / 1024,
      tables: served,
    },
    lost: Math.max(0, tables - served),
    repeated: 0,
    disordered: 0,
  };
}

export const boot: Bench = {
  name: 'boot',
  question: 'How long does a start over a large database of mixed layouts take, and what does it read?',
  async run({ smoke, rounds: wanted, mongoUri, say }) {
    const numbers = smoke ? 2_000 : 1_000_000;
    const rounds = wanted ?? (smoke ? 1 : 3);
    const mongo = await startMongo(mongoUri);
    const client = new MongoClient(mongo.uri);
    const database = freshDatabase();
    const samples: Sample[] = [];
    const first = 'the first start, which makes the indexes';
    const later = 'a later start';
    try {
      await client.connect();
      say(`storing ${numbers} numbers`);
      await fill(client, database, numbers);
      // So that the rewind meets a usual past, not the import itself.
      await delay(smoke ? 0 : (WINDOW_SECONDS + 2) * 1_000);
      const { length } = loadTables();
      for (let round = 0; round <= rounds; round++) {
        const setting = round === 0 ? first : later;
        say(setting);
        samples.push(await measure(mongo.uri, database, setting, length, round));
      }
    } finally {
      await client.db(database).dropDatabase();
      await client.close();
      await mongo.stop();
    }
    return {
      parameters: { numbers, tables: loadTables().length, rounds, 'recovery window, s': WINDOW_SECONDS },
      mongo: mongo.kind,
      samples,
      goals: [
        { words: 'ready, seconds', value: medianOf(rowsOf(samples), later, OURS.name, 'ready_s'), way: '<=', limit: 5 },
      ],
      leftOut: [],
      charts: [{ title: 'From the start of the process to ready', figure: 'ready_s', unit: 's' }],
    };
  },
};
