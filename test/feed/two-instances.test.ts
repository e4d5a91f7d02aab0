import { describe, expect, it } from 'vitest';
import { chanceFrom, createDatabaseModel } from './database-model.ts';
import { boot, follow, type Instance, served } from './model-instance.ts';

describe('two instances', () => {
  it.each([
    ['calm', true],
    ['with drops and renames', false],
  ])(
    'send the same frames and snapshots wherever each began (%s database)',
    async (_name, calm) => {
      let compared = 0;
      for (let seed = 1; seed <= 500; seed++) {
        const model = createDatabaseModel(seed, calm);
        while (model.changes.length < 175) model.write();
        const total = model.changes.length;
        const chance = chanceFrom(seed + 1_000_000);
        const spot = (low: number): number => low + Math.floor(chance() * (total - low + 1));
        const start = (from: number): Promise<Instance> => {
          const read = spot(from);
          return boot(model, from, read, Math.min(total, read + Math.floor(chance() * 8)));
        };
        const first = await follow(model, await start(0), total, chance);
        const second = await follow(model, await start(spot(0)), total, chance);
        expect(served(second.timeline, first.timeline), `seed ${seed}`).toEqual(
          served(first.timeline, second.timeline),
        );
        compared += served(first.timeline, second.timeline).length;
      }
      expect(compared).toBeGreaterThan(8_000);
    },
    120_000,
  );
});
