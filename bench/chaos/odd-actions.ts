import { ObjectId } from 'mongodb';
import type { Chance } from './chance.ts';
import {
  element,
  ODD_IDS,
  ODD_VALUES,
  rawArray,
  rawCommand,
  rawDocument,
  rawString,
  sendRaw,
} from './odd-documents.ts';
import { type Action, NUMBERS, OWN, ROWS, TABLES, type World } from './world.ts';

/** Odd to look at, and a whole number all the same. */
const NUMERIC = new Set(['a negative zero', 'a decimal that is not canonical']);

const int32 = (name: string, value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return element(0x10, name, bytes);
};
const now = (): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(Date.now()));
  return element(0x09, 'timestamp', bytes);
};

/** Draws what is odd, and gives it as the value of this field. */
function oddField(field: string, chance: Chance): { readonly kind: string; readonly bytes: Buffer } {
  const names = Object.keys(ODD_VALUES).filter((name) => field !== 'numero' || !NUMERIC.has(name));
  const kind = chance.pick(field === '_id' ? ODD_IDS : names);
  const { type, value } = ODD_VALUES[kind] ?? { type: 0x0a, value: Buffer.alloc(0) };
  return { kind, bytes: element(type, field, value) };
}

/** The fields of a document of each collection in which a value may be odd, each with what stands there else. */
const FIELDS: Readonly<Record<string, (chance: Chance) => Readonly<Record<string, Buffer>>>> = {
  [NUMBERS]: (chance) => ({
    roleta_id: rawString('roleta_id', chance.pick(TABLES)),
    numero: int32('numero', chance.whole(0, 36)),
    obs: rawString('obs', 'x'),
  }),
  [OWN]: (chance) => ({ numero: int32('numero', chance.whole(0, 36)), obs: rawString('obs', 'x') }),
  [ROWS]: (chance) => ({
    _id: rawString('_id', String(chance.whole(0, 1e9))),
    roleta_id: rawString('roleta_id', chance.pick(TABLES)),
    estado: rawString('estado', 'NEUTRAL'),
    sugestao_display: rawString('sugestao_display', 'x'),
    terminais_gatilho: rawArray('terminais_gatilho', []),
    vitorias: int32('vitorias', 1),
  }),
};

const insertion = (world: World, collection: string, document: Buffer): Promise<Buffer> =>
  sendRaw(world.uri, rawCommand(world.database, 1, rawString('insert', collection), rawArray('documents', [document])));

/** An update of the first document that `query` finds. */
function setRaw(world: World, name: string, query: Buffer, set: Buffer, upsert: boolean): Promise<Buffer> {
  const update = rawDocument(
    element(0x03, 'q', query),
    element(0x03, 'u', rawDocument(element(0x03, '$set', rawDocument(set)))),
    element(0x08, 'upsert', Buffer.of(upsert ? 1 : 0)),
  );
  return sendRaw(world.uri, rawCommand(world.database, 1, rawString('update', name), rawArray('updates', [update])));
}

/** What scrapers in other languages, and hands, put into a database. */
export const ODD_ACTIONS: Readonly<Record<string, Action>> = {
  odd: {
    weight: 8,
    async run(world, chance) {
      const collection = chance.pick([NUMBERS, NUMBERS, OWN, ROWS]);
      const good = FIELDS[collection]?.(chance) ?? {};
      const field = chance.pick(Object.keys(good));
      const { kind, bytes } = oddField(field, chance);
      const id = new ObjectId();
      if (collection !== ROWS) world.written.add(String(id));
      const own = collection === ROWS ? [] : [element(0x07, '_id', Buffer.from(id.id))];
      const document = rawDocument(...own, ...Object.values({ ...good, [field]: bytes }), now());
      await insertion(world, collection, document);
      return `${kind} as ${field} in ${collection}`;
    },
  },
  spoil: {
    weight: 4,
    async run(world, chance) {
      const name = chance.pick([NUMBERS, OWN]);
      const [newest] = await world
        .collection(name)
        .find({}, { projection: { _id: 1 }, sort: { _id: -1 }, limit: 1 })
        .toArray();
      if (!(newest?._id instanceof ObjectId)) return 'nothing to spoil';
      const field = chance.pick(['numero', 'obs']);
      const { kind, bytes } = oddField(field, chance);
      await setRaw(world, name, rawDocument(element(0x07, '_id', Buffer.from(newest._id.id))), bytes, false);
      return `${kind} into ${field} of a number in ${name}`;
    },
  },
  spoilState: {
    weight: 3,
    async run(world, chance) {
      const table = chance.pick(TABLES);
      const field = chance.pick(['obs', 'roleta_nome', 'estrategia', 'estrategia.estado', 'estrategia.vitorias']);
      const { kind, bytes } = oddField(field, chance);
      await setRaw(world, 'metadados', rawDocument(rawString('roleta_id', table)), bytes, true);
      return `${kind} into ${field} of the metadados of ${table}`;
    },
  },
};
