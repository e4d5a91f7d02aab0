import { describe, expect, it } from 'vitest';
import { ProtocolError } from '../../src/protocol/errors.ts';
import type { InsertResult } from '../../src/roulette/ingest.ts';
import { groupCommit } from '../../src/store/insert-many.ts';

/** A database whose inserts end when the test says so. */
function heldDatabase() {
  const flights: { items: readonly string[]; land: (error?: Error) => void }[] = [];
  const insert = (items: readonly string[]): Promise<InsertResult[]> =>
    new Promise((resolve, reject) => {
      const results = items.map(
        (id): InsertResult =>
          id.startsWith('bad') ? { status: 'error', error: new ProtocolError('conflict') } : { status: 'created', id },
      );
      flights.push({ items, land: (error) => (error === undefined ? resolve(results) : reject(error)) });
    });
  return { flights, insert };
}

/** Lets every promise that can go on go on. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('group commit', () => {
  it('sends a lone insert at once and groups what comes while it is under way', async () => {
    const { flights, insert } = heldDatabase();
    const grouped = groupCommit(insert);
    const calls = ['a', 'b', 'c'].map((id) => grouped([id]));
    expect(flights.map(({ items }) => items)).toEqual([['a']]);
    flights[0]?.land();
    await settle();
    expect(flights.map(({ items }) => items)).toEqual([['a'], ['b', 'c']]);
    flights[1]?.land();
    expect(await Promise.all(calls)).toEqual(['a', 'b', 'c'].map((id) => [{ status: 'created', id }]));
  });

  it('gives each caller its own results, so that a failing document touches no neighbour', async () => {
    const { flights, insert } = heldDatabase();
    const grouped = groupCommit(insert);
    const first = grouped(['x']);
    const good = grouped(['g1', 'g2']);
    const bad = grouped(['bad']);
    flights[0]?.land();
    await first;
    await settle();
    flights[1]?.land();
    expect((await good).map(({ status }) => status)).toEqual(['created', 'created']);
    expect((await bad).map(({ status }) => status)).toEqual(['error']);
  });

  it('answers every caller of a group when the database is away', async () => {
    const { flights, insert } = heldDatabase();
    const grouped = groupCommit(insert);
    const first = grouped(['x']);
    const others = [grouped(['y']), grouped(['z'])];
    flights[0]?.land();
    await first;
    await settle();
    flights[1]?.land(new ProtocolError('database_unavailable'));
    for (const other of others) await expect(other).rejects.toMatchObject({ code: 'database_unavailable' });
  });

  it('tries calls one by one when a group fails for a reason that one of them may have caused', async () => {
    const { flights, insert } = heldDatabase();
    const grouped = groupCommit(insert);
    const first = grouped(['x']);
    const others = [grouped(['y']), grouped(['z'])];
    flights[0]?.land();
    await first;
    await settle();
    flights[1]?.land(new Error('cannot be encoded'));
    await settle();
    flights[2]?.land();
    await settle();
    flights[3]?.land(new Error('cannot be encoded'));
    expect(await others[0]).toEqual([{ status: 'created', id: 'y' }]);
    await expect(others[1]).rejects.toThrow('cannot be encoded');
  });

  it('stores a large call in parts, in turns with other large ones, while small ones go beside them', async () => {
    const { flights, insert } = heldDatabase();
    const grouped = groupCommit(insert, { maxGroup: 4, small: 1, part: 2, maxWaiting: 100 });
    const calls = [['a', 'a', 'a'], ['b', 'b', 'b', 'b'], ['e'], ['f']].map((items) => grouped(items));
    expect(flights.map(({ items }) => items.join(''))).toEqual(['aa', 'bb', 'e']);
    for (let flight = 0; flight < 6; flight++) {
      flights[flight]?.land();
      await settle();
    }
    expect(flights.map(({ items }) => items.join(''))).toEqual(['aa', 'bb', 'e', 'a', 'bb', 'f']);
    expect((await Promise.all(calls)).map(({ length }) => length)).toEqual([3, 4, 1, 1]);
  });

  it('says of each item of a large call what became of it when the database is away in its middle', async () => {
    const { flights, insert } = heldDatabase();
    const grouped = groupCommit(insert, { maxGroup: 4, small: 1, part: 2, maxWaiting: 100 });
    const call = grouped(['a', 'b', 'c', 'd', 'e']);
    flights[0]?.land();
    await settle();
    flights[1]?.land(new ProtocolError('write_unknown'));
    const lost = { status: 'error', error: { code: 'write_unknown' } };
    expect(await call).toMatchObject([{ status: 'created' }, { status: 'created' }, lost, lost, lost]);
    expect(flights).toHaveLength(2);
    const whole = grouped(['f', 'g', 'h']);
    flights[2]?.land(new ProtocolError('database_unavailable'));
    await expect(whole).rejects.toMatchObject({ code: 'database_unavailable' });
  });

  it('bounds a group and refuses what would wait beyond the bound', async () => {
    const { flights, insert } = heldDatabase();
    const grouped = groupCommit(insert, { maxGroup: 2, small: 2, part: 2, maxWaiting: 4 });
    const calls = [grouped(['a']), grouped(['b']), grouped(['c']), grouped(['d'])];
    await expect(grouped(['e'])).rejects.toMatchObject({ code: 'overloaded' });
    for (let flight = 0; flight < 3; flight++) {
      flights[flight]?.land();
      await settle();
    }
    expect(flights.map(({ items }) => items)).toEqual([['a'], ['b', 'c'], ['d']]);
    expect(await Promise.all(calls)).toHaveLength(4);
  });
});
