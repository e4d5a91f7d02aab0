import { describe, expect, it } from 'vitest';
import { isDocument, type RawDocument } from '../../src/roulette/bson-value.ts';
import { numberFrom } from '../../src/roulette/number.ts';
import { DEFAULT_SOURCES, fieldPaths, readFields, type Source, tableFrom } from '../../src/roulette/source.ts';
import { strategyFrom } from '../../src/roulette/strategy.ts';

/** A document that notes the path of each field which is asked for; what is not in `fields` is missing. */
function watched(fields: RawDocument, asked: Set<string>, prefix = ''): RawDocument {
  return new Proxy(fields, {
    get(target, field) {
      if (typeof field !== 'string' || field === '_bsontype') return Reflect.get(target, field);
      const value = target[field];
      if (isDocument(value)) return watched(value, asked, `${prefix}${field}.`);
      asked.add(`${prefix}${field}`);
      return value;
    },
  });
}

const { paths, isRead } = readFields(['provider']);
const COLLECTIONS = ['roleta_numeros', '2010165', 'estrategia_historico_novo', 'roletas', 'metadados'];
const STATE = { estado: 'TRIGGER' };
/** Some fields are looked at only where others are missing, others only where they are there. */
const SHAPES: readonly RawDocument[] = [
  {},
  { _id: 'a', roleta_id: '2010165', numero: 1, timestamp: 1, ...STATE, estrategia: STATE },
  { _id: '2010165', nome: 'x', roleta_id: '2010165', estrategia: {} },
];

function pathsAsked(source: Source): Set<string> {
  const asked = new Set<string>();
  for (const shape of SHAPES) {
    for (const read of [numberFrom, strategyFrom, tableFrom]) read(watched(shape, asked), source);
  }
  return asked;
}

describe('the list of fields that are read', () => {
  it.each(COLLECTIONS)('is complete for %s', (collection) => {
    const source = DEFAULT_SOURCES.of(collection);
    if (source === null) throw new Error(`${collection} is watched`);
    const asked = pathsAsked(source);
    expect(asked.size).toBeGreaterThan(2);
    expect([...asked].filter((path) => path !== 'estrategia' && !fieldPaths(source).includes(path))).toEqual([]);
    expect(fieldPaths(source).filter((path) => !paths.includes(path))).toEqual([]);
  });

  it('is a projection that a server takes: no path lies within another', () => {
    for (const path of paths) {
      expect(paths.filter((other) => other.startsWith(`${path}.`))).toEqual([]);
      expect(isRead(path)).toBe(true);
    }
  });
});
