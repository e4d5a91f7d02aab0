import type { MongoClient } from 'mongodb';
import type { Stage } from '../docs/stage.ts';

type Fields = Readonly<Record<string, unknown>>;

/** How a public scraper writes: one number that it posts, and one that it inserts, as the wire has them. */
export interface Shape {
  readonly id: string;
  readonly posted: () => Fields;
  readonly inserted: () => { readonly collection: string; readonly document: Fields };
  /** The number that is posted, then the one that is inserted. */
  readonly wire: readonly [Fields, Fields];
}

const LIGHTNING = 'LightningRoulette00001@evolution';
const seconds = (): number => Math.floor(Date.now() / 1000);
const shared = (document: Fields) => ({ collection: 'roleta_numeros', document });

/** The six public shapes. */
export const SHAPES: Readonly<Record<string, Shape>> = {
  'RunCash, in a shared collection': {
    id: '2010165',
    posted: () => ({ roleta_id: '2010165', roleta_nome: 'Roulette', numero: 0, timestamp: new Date().toISOString() }),
    inserted: () => {
      const now = new Date();
      const document = { roleta_id: '2010165', roleta_nome: 'Roulette', numero: 17, cor: 'preto' };
      return shared({ ...document, timestamp: now, criado_em: now });
    },
    wire: [
      { roleta_id: '2010165', roleta_nome: 'Roulette', numero: 0, cor: 'verde' },
      { roleta_id: '2010165', roleta_nome: 'Roulette', numero: 17, cor: 'preto' },
    ],
  },
  'RunCash, a collection per table': {
    id: '2010097',
    posted: () => ({ roleta_id: '2_2010097', roleta_nome: 'VIP Roulette', numero: '5' }),
    inserted: () => ({ collection: '2010097', document: { numero: 32, cor: 'vermelho', timestamp: new Date() } }),
    wire: [
      { roleta_id: '2010097', roleta_nome: 'VIP Roulette', numero: 5, cor: 'vermelho' },
      { roleta_id: '2010097', roleta_nome: 'VIP Roulette', numero: 32, cor: 'vermelho' },
    ],
  },
  'ids like those of Evolution': {
    id: LIGHTNING,
    posted: () => ({ roleta_id: LIGHTNING, roleta_nome: 'Lightning', numero: 36 }),
    inserted: () => shared({ roleta_id: LIGHTNING, numero: 8, timestamp: new Date().toISOString() }),
    wire: [
      { roleta_id: LIGHTNING, roleta_nome: 'Lightning', numero: 36, cor: 'vermelho' },
      { roleta_id: LIGHTNING, roleta_nome: 'Lightning', numero: 8, cor: 'preto' },
    ],
  },
  'small integers as ids': {
    id: '221',
    posted: () => ({ roleta_id: 221, numero: 1 }),
    inserted: () => shared({ roleta_id: 221, numero: 2, timestamp: new Date() }),
    wire: [
      { roleta_id: '221', roleta_nome: '221', numero: 1, cor: 'vermelho' },
      { roleta_id: '221', roleta_nome: '221', numero: 2, cor: 'preto' },
    ],
  },
  'a wheel with a double zero': {
    id: 'american-roulette',
    posted: () => ({ roleta_id: 'american-roulette', numero: '00' }),
    inserted: () => shared({ roleta_id: 'american-roulette', numero: '00', timestamp: new Date() }),
    wire: [
      { roleta_id: 'american-roulette', numero: 37, rotulo: '00', cor: 'verde' },
      { roleta_id: 'american-roulette', numero: 37, rotulo: '00', cor: 'verde' },
    ],
  },
  'times in epoch seconds': {
    id: 'epoch-seconds',
    posted: () => ({ roleta_id: 'epoch-seconds', numero: 10, timestamp: seconds() - 1 }),
    inserted: () => shared({ roleta_id: 'epoch-seconds', numero: 11, timestamp: seconds() }),
    wire: [
      { roleta_id: 'epoch-seconds', numero: 10, cor: 'preto' },
      { roleta_id: 'epoch-seconds', numero: 11, cor: 'preto' },
    ],
  },
};

/** Posts one number and inserts the other, the second when the first was heard. */
export async function writeShape(
  stage: Stage,
  mongo: MongoClient,
  { posted, inserted }: Shape,
  heardFirst: () => Promise<unknown>,
): Promise<void> {
  await stage.post('/api/v1/numbers', posted());
  await heardFirst();
  const { collection, document } = inserted();
  await mongo
    .db(stage.database)
    .collection(collection, { writeConcern: { w: 'majority' } })
    .insertOne({ ...document });
}
