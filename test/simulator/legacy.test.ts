import { describe, expect, it } from 'vitest';
import { everyThird, firstSimulation } from '../../src/simulator/legacy.ts';
import { simulatorOptions, UsageError } from '../../src/simulator/options.ts';
import { seededRandom } from '../../src/simulator/round.ts';
import { simulate, succeeded } from '../../src/simulator/run.ts';
import { startFakeServer } from './fake-server.ts';

const DEFAULTS = { url: 'http://127.0.0.1:5000', key: null, mongodb: 'mongodb://127.0.0.1:27017/?replicaSet=rs0' };

const legacyOptions = (...args: string[]) => {
  const options = simulatorOptions(['--legacy', ...args], DEFAULTS);
  if (options === null) throw new Error('usage was asked for');
  return options;
};

describe('the first system’s simulation', () => {
  const schedule = firstSimulation({ tables: legacyOptions().tables, random: seededRandom(7), runId: 'run' });
  const dues = Array.from({ length: 600 }, () => schedule.next().value).filter((due) => due !== undefined);

  it('plays six tables, all of them', () => {
    expect(new Set(dues.map(({ item }) => item.table)).size).toBe(6);
  });

  it('plays one number every 2 to 5 s, 0 to 36 with the colour of each', () => {
    const pauses = dues.slice(1).map(({ atMs }, at) => atMs - (dues[at]?.atMs ?? 0));
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(2_000);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(5_000);
    expect(Math.max(...pauses) - Math.min(...pauses)).toBeGreaterThan(2_500);
    expect(new Set(dues.map(({ item }) => item.numero)).size).toBe(37);
    expect(dues.every(({ item }) => (item.numero === 0) === (item.cor === 'verde'))).toBe(true);
  });

  it('makes a strategy of every third number', () => {
    const analyser = everyThird(seededRandom(7));
    const made = dues.map(({ item }) => analyser.follow(item) !== null);
    expect(made).toEqual(dues.map((_, at) => at % 3 === 2));
  });

  it('goes through /emit-event in the words of first scrapers', async () => {
    const server = await startFakeServer({ answer: () => ({ status: 200, body: { success: true } }) });
    const result = await simulate(legacyOptions('--url', server.url.href, '--speed', '10000', '--count', '6'), {
      print: () => undefined,
      databases: { shared: 'runcash', tables: 'runcash' },
      signal: new AbortController().signal,
    });
    await server.stop();
    expect(succeeded(result)).toBe(true);
    expect(result.tally).toMatchObject({ sent: 8, acknowledged: 8 });
    expect(new Set(server.posts.map(({ path }) => path))).toEqual(new Set(['/emit-event']));
    const bodies = server.posts.map(({ body }) => body);
    expect(bodies.filter(({ event }) => event === 'new_number')).toHaveLength(6);
    expect(bodies.find(({ event }) => event === 'strategy_update')).toMatchObject({
      data: {
        type: 'strategy_update',
        roleta_nome: expect.any(String),
        estado: expect.any(String),
        display_suggestion: expect.any(String),
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}$/),
      },
    });
  });

  it.each([['--direct'], ['--verify'], ['--rate=2'], ['--burst=2'], ['--restart-duplicates'], ['--replay=x']])(
    'cannot be played with %s',
    (other) => {
      expect(() => legacyOptions(other)).toThrow(UsageError);
    },
  );

  it('plays other tables where they are named', () => {
    expect(legacyOptions('--tables', '2010165').tables).toMatchObject([{ id: '2010165' }]);
  });
});
