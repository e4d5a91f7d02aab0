import { ObjectId } from 'mongodb';
import type { Change, ChangeOf } from '../../src/feed/change.ts';
import { positionOf } from '../../src/protocol/position.ts';
import { keyOf } from '../../src/roulette/bson-value.ts';
import { type NumberDocument, numberDocumentOf, numberFrom } from '../../src/roulette/number.ts';
import { applyUpdateDescription } from '../../src/roulette/patch.ts';
import { createSources } from '../../src/roulette/source.ts';
import type { Base, BaseDocument } from '../../src/store/base.ts';

/** A seeded source of chance in [0, 1), so that a failure can be replayed. */
export function chanceFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

type Document = Readonly<Record<string, unknown>>;
type Collections = Map<string, Map<string, Document>>;

const TABLES = ['2010011', '2010012', '2010016'] as const;
const SHARED = 'rc.roleta_numeros';
const ROWS = 'rc.estrategia_historico_novo';
const META = 'rc.metadados';
const ROLETAS = 'rc.roletas';
const OWN = 'rc.2010012';
const ARCHIVE = 'rc.arquivo';
const STATES = ['NEUTRAL', 'TRIGGER', 'POST_GALE_NEUTRAL', 'MORTO'];

/** A database that writes at random and remembers every change and every state that it passed through. */
export interface DatabaseModel {
  readonly changes: readonly Change[];
  write(): void;
  /** The database at rest after the first `count` changes. */
  baseAt(count: number): Base;
  /** The change with its document as it stood after the first `count` changes. */
  rereadAt(change: ChangeOf<'update'>, count: number): ChangeOf<'reread'>;
}

/** The collections as the instances over the model read them. */
export const MODEL_SOURCES = createSources({ extraFields: ['provider', 'mult'] });

export function createDatabaseModel(seed: number, calm: boolean): DatabaseModel {
  const chance = chanceFrom(seed);
  const pick = <T>(items: readonly T[]): T => {
    const item = items[Math.floor(chance() * items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  };
  const collections: Collections = new Map();
  const history: { readonly at: number; readonly collections: Collections }[] = [];
  const changes: Change[] = [];
  let t = 1_700_000_000;
  let i = 1;
  let op = 0;
  let made = 0;

  const docs = (ns: string): Map<string, Document> => {
    const found = collections.get(ns) ?? new Map<string, Document>();
    collections.set(ns, found);
    return found;
  };
  const place = () => ({ position: positionOf({ t, i }, op), time: { t, i }, wallTimeMs: null });
  const push = (change: Change): void => {
    changes.push(change);
    history.push({ at: changes.length, collections: new Map([...collections].map(([ns, map]) => [ns, new Map(map)])) });
    op++;
  };
  const insert = (ns: string, document: Document): void => {
    const key = keyOf(document['_id']);
    docs(ns).set(key, document);
    push({ ...place(), ns, kind: 'insert', key, id: document['_id'], document });
  };
  const update = (ns: string, key: string, updatedFields: Document, removedFields: readonly string[] = []): void => {
    const old = docs(ns).get(key);
    if (old === undefined) return;
    const description = { updatedFields, removedFields, truncatedArrays: [] };
    docs(ns).set(key, applyUpdateDescription(old, description));
    push({ ...place(), ns, kind: 'update', key, id: old['_id'], update: description });
  };
  const id = (): ObjectId =>
    new ObjectId(
      `${t.toString(16).padStart(8, '0')}${pick(['aaaaaaaaaa', 'bbbbbbbbbb'])}${(++made).toString(16).padStart(6, '0')}`,
    );

  const mult = (): unknown => pick<unknown>([50, [1, 'x', { a: 1 }], { b: 2 }, 'y'.repeat(600), Array(20).fill(3)]);

  const numberDocument = (ns: string): Document => {
    const old = chance() < 0.08;
    const at = (t - (old ? 500 + Math.floor(chance() * 1000) : Math.floor(chance() * 3))) * 1000;
    const table = pick(TABLES);
    const named = chance() < 0.5 ? { roleta_nome: `Mesa ${table}` } : {};
    const numero = chance() < 0.06 ? pick([99, 99, 99, 99, '00', 37]) : Math.floor(chance() * 4);
    const own = chance() < 0.2 ? { provider: pick(['evo', 7, null]), mult: mult() } : {};
    const when = chance() < 0.5 ? new Date(at) : new Date(at).toISOString();
    return { _id: id(), ...(ns === OWN ? {} : { roleta_id: table }), ...named, numero, ...own, timestamp: when };
  };
  const strategyFields = (): Document => ({
    estado: chance() < 0.05 ? 'X' : pick(STATES),
    numero_gatilho: pick([-1, 0, 7]),
    terminais_gatilho: pick([[], [0], [1, 2]]),
    vitorias: Math.floor(chance() * 3),
    ...(chance() < 0.2 ? { mult: mult() } : {}),
    timestamp: new Date((t - Math.floor(chance() * 20)) * 1000),
  });

  const existing = (ns: string): string | undefined => {
    const keys = [...docs(ns).keys()];
    const recent = chance() < 0.8 ? keys.slice(-4) : keys;
    return recent.length === 0 ? undefined : pick(recent);
  };

  const one = (): void => {
    const dice = chance();
    const numbers = chance() < 0.6 ? SHARED : OWN;
    if (dice < 0.45) {
      insert(numbers, numberDocument(numbers));
      return;
    }
    if (dice < 0.6) {
      insert(ROWS, { _id: id(), roleta_id: pick(TABLES), ...strategyFields() });
      return;
    }
    if (dice < 0.72) {
      const ns = chance() < 0.6 ? META : ROLETAS;
      const key = existing(ns);
      if (key === undefined) {
        const table = pick(TABLES);
        const state = strategyFields();
        const document =
          ns === META
            ? { _id: id(), roleta_id: table, roleta_nome: `Meta ${table}`, estrategia: state }
            : { _id: table, nome: `Roleta ${table}`, ...state };
        insert(ns, document);
        return;
      }
      if (ns === ROLETAS) {
        update(ns, key, chance() < 0.2 ? { nome: `Novo ${made}` } : strategyFields());
        return;
      }
      if (chance() < 0.04) {
        update(ns, key, { duplo_zero: chance() < 0.7 });
        return;
      }
      const whole = chance() < 0.4;
      if (whole) {
        update(ns, key, { estrategia: strategyFields() });
        return;
      }
      if (chance() < 0.1) {
        update(ns, key, {}, ['estrategia']);
        return;
      }
      update(ns, key, { 'estrategia.estado': pick(STATES), 'estrategia.timestamp': new Date(t * 1000) });
      return;
    }
    const ns = pick([SHARED, OWN, ROWS, META]);
    const key = existing(ns);
    if (key === undefined) return;
    if (dice < 0.8) {
      const set = pick<Document>([
        { numero: Math.floor(chance() * 37) },
        { timestamp: new Date((t - Math.floor(chance() * 40)) * 1000) },
        { roleta_id: pick(TABLES) },
        { nota: made },
        { mult: mult() },
        { 'mult.1': made },
        { numero: 'x' },
      ]);
      update(ns, key, set);
      return;
    }
    if (dice < 0.88) {
      const document: Document = {
        ...(docs(ns).get(key) ?? {}),
        ...(chance() < 0.5 ? { numero: 11 } : { estado: pick(STATES) }),
      };
      docs(ns).set(key, document);
      push({ ...place(), ns, kind: 'replace', key, id: document['_id'], document });
      return;
    }
    const gone = docs(ns).get(key);
    docs(ns).delete(key);
    push({ ...place(), ns, kind: 'delete', key, id: gone?.['_id'] });
  };

  const rare = (): void => {
    const ns = pick([SHARED, OWN, ROWS, META, ROLETAS]);
    if (chance() < 0.6) {
      collections.delete(ns);
      push({ ...place(), ns, kind: 'drop' });
    } else if (docs(ARCHIVE).size > 0) {
      collections.set(OWN, docs(ARCHIVE));
      collections.delete(ARCHIVE);
      push({ ...place(), ns: ARCHIVE, kind: 'rename', to: OWN });
    } else {
      collections.set(ARCHIVE, docs(OWN));
      collections.delete(OWN);
      push({ ...place(), ns: OWN, kind: 'rename', to: ARCHIVE });
    }
  };

  const pastAt = (count: number): Collections =>
    history.findLast(({ at }) => at <= count)?.collections ?? new Map<string, Map<string, Document>>();

  return {
    changes,
    write() {
      if (chance() < 0.5) {
        t += 1 + Math.floor(chance() * 4);
        i = 1;
      } else {
        i++;
      }
      op = 0;
      if (!calm && chance() < 0.02) {
        rare();
        return;
      }
      const size = chance() < 0.3 ? 2 + Math.floor(chance() * 4) : 1;
      for (let n = 0; n < size; n++) one();
    },
    rereadAt({ update: _update, ...change }, count) {
      const document = pastAt(count).get(change.ns)?.get(change.key) ?? null;
      return { ...change, kind: 'reread', inserted: false, document };
    },
    baseAt(count) {
      const past = pastAt(count);
      const documents: BaseDocument[] = [];
      const numbers: NumberDocument[] = [];
      for (const [ns, map] of past) {
        const source = MODEL_SOURCES.of(ns.slice(ns.indexOf('.') + 1));
        for (const [key, document] of map) {
          const read = source === null ? null : numberFrom(document, source);
          if (source !== null && read?.ok) numbers.push(numberDocumentOf(ns, source, document['_id'], read.value));
          else documents.push({ ns, key, document });
        }
      }
      return { numbers, documents, incomplete: [], unfinished: [], skipped: {} };
    },
  };
}
