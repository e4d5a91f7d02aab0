import { type Db, MongoClient, MongoServerError, ObjectId } from 'mongodb';
import { idInTable } from '../roulette/bson-value.ts';
import { METADADOS, NUMBERS, STRATEGIES } from '../roulette/source.ts';
import { labelOf } from '../roulette/wheel.ts';
import { CODES } from '../store/errors.ts';
import { reasonOf } from './post.ts';
import type { Round, Sender, SendOutcome, Stamped } from './round.ts';

export interface DirectOptions {
  readonly uri: string;
  /** The database of the shared layout. */
  readonly database: string;
  /** The database of the per-table layout. */
  readonly tablesDatabase: string;
  readonly layout: 'shared' | 'per-table';
}

/** Inserts into MongoDB as a scraper with a driver does: ObjectIds of its own, and the service is not involved. */
export function directSender(options: DirectOptions): Sender {
  const client = new MongoClient(options.uri, {
    appName: 'runcash-simulator',
    serverSelectionTimeoutMS: 3000,
    connectTimeoutMS: 3000,
    socketTimeoutMS: 15_000,
    writeConcern: { w: 'majority' },
  });
  const makeId = objectIds();
  // One identity per item over all attempts: only so can a repeated attempt be told from a second number.
  const identities = new WeakMap<Stamped, ObjectId>();
  const store =
    options.layout === 'shared' ? sharedWriter(client.db(options.database)) : perTableWriter(options, client);
  const wireIdOf = (item: Stamped, id: ObjectId): string =>
    options.layout === 'shared' ? id.toHexString() : idInTable(id.toHexString(), item.table);
  return {
    async send(item) {
      const id = identities.get(item) ?? makeId(item);
      identities.set(item, id);
      try {
        await store(item, id);
        return { kind: 'acknowledged', id: wireIdOf(item, id) };
      } catch (error) {
        return failureOf(error, wireIdOf(item, id));
      }
    },
    close: () => client.close(),
  };
}

type Store = (item: Stamped, id: ObjectId) => Promise<unknown>;

function sharedWriter(db: Db): Store {
  return (item, id) => {
    const common = { _id: id, roleta_id: item.table, roleta_nome: item.name };
    return item.kind === 'number'
      ? db.collection(NUMBERS).insertOne({ ...common, ...numberFields(item) })
      : db.collection(STRATEGIES).insertOne({ ...common, ...stateFields(item) });
  };
}

function perTableWriter(options: DirectOptions, client: MongoClient): Store {
  const db = client.db(options.tablesDatabase);
  const announced = new Set<string>();
  return async (item, id) => {
    const about = { roleta_id: item.table, roleta_nome: item.name, colecao: item.table, ativa: true };
    if (item.kind === 'strategy') {
      const update = { $set: { ...about, estrategia: stateFields(item) } };
      return await db.collection(METADADOS).updateOne({ roleta_id: item.table }, update, { upsert: true });
    }
    if (!announced.has(item.table)) {
      await db.collection(METADADOS).updateOne({ roleta_id: item.table }, { $set: about }, { upsert: true });
      announced.add(item.table);
    }
    return await db.collection(item.table).insertOne({ _id: id, ...numberFields(item) });
  };
}

/** Every document carries the simulator's mark, as what is posted does. */
const numberFields = ({ numero, cor, timestampMs }: Stamped & Round): Record<string, unknown> => ({
  numero,
  cor,
  ...labelOf(numero),
  timestamp: new Date(timestampMs),
  criado_em: new Date(),
  simulado: true,
});

const stateFields = (item: Exclude<Stamped, Round>): Record<string, unknown> => ({
  estado: item.estado,
  numero_gatilho: item.numeroGatilho,
  terminais_gatilho: item.terminaisGatilho,
  vitorias: item.vitorias,
  derrotas: item.derrotas,
  sugestao_display: item.sugestaoDisplay,
  timestamp: new Date(item.timestampMs),
  simulado: true,
});

/** The recorded ObjectId where one is kept; else seconds, the scraper process's five bytes, and a rising counter. */
function objectIds(): (item: Stamped) => ObjectId {
  let counter = Math.floor(Math.random() * 0x1000000);
  return (item) => {
    if (item.kind === 'strategy') return new ObjectId();
    if (item.objectId !== null) return new ObjectId(item.objectId);
    counter = (counter + 1) % 0x1000000;
    const seconds = Math.floor(item.timestampMs / 1000);
    return new ObjectId(seconds.toString(16).padStart(8, '0') + item.maker + counter.toString(16).padStart(6, '0'));
  };
}

function failureOf(error: unknown, id: string): SendOutcome {
  if (!(error instanceof MongoServerError)) return { kind: 'failed', reason: reasonOf(error) };
  if (error.code === CODES.DuplicateKey) return { kind: 'duplicate', id };
  const reason = `MongoDB ${error.code ?? ''} ${error.message}`;
  // Validation (121), privileges (13, 18) and oversized documents do not change by repeating.
  const hopeless = [13, 18, 121, 10334].includes(Number(error.code));
  return hopeless ? { kind: 'refused', reason } : { kind: 'failed', reason };
}
