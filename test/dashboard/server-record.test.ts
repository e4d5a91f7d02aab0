import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { tableOf } from '../../src/client/table.ts';
import { createRecord } from '../../src/dashboard/server-record.ts';
import type { NewNumber } from '../../src/protocol/messages.ts';
import { ORIGIN } from '../../src/protocol/position.ts';

const TABLE = { roleta_id: '2010165', roleta_nome: 'Lightning', topic: 'mesa/2010165' };
const older = async function* () {};
const table = tableOf({ ...TABLE, numeros: [], estrategia: null, stale: false }, 10, older);

/** A number whose own time is so many seconds before now by this device's clock. */
const numberOfAge = (seconds: number): NewNumber => ({
  type: 'new_number',
  ...TABLE,
  position: ORIGIN,
  prev: null,
  id: String(seconds),
  numero: 7,
  cor: 'vermelho',
  timestamp: new Date(Date.now() - seconds * 1000).toISOString(),
});

function clockAheadAfter(ages: readonly number[]): number {
  const { record, listeners } = createRecord(() => undefined);
  for (const age of ages) listeners.onNumber?.(numberOfAge(age), table);
  return record.clockAheadMs;
}

describe("this device's clock", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }));
  afterEach(() => void vi.useRealTimers());

  it('is not thought wrong after a replay of old numbers that ends with a recent one', () => {
    const replayed = Array.from({ length: 150 }, (_, n) => 1_200 - 8 * n);
    expect(clockAheadAfter([...replayed, 3])).toBe(0);
    expect(clockAheadAfter([1_200, 900, 600, 300, 3])).toBe(0);
  });

  it('is thought wrong by what even the number nearest to it differs, ahead or behind', () => {
    expect(clockAheadAfter([19_802, 19_801, 19_803])).toBe(19_801_000);
    expect(clockAheadAfter([-19_798, -19_799])).toBe(-19_798_000);
  });

  it('is not thought wrong for one table whose numbers are late', () => {
    expect(clockAheadAfter([7_200, 1, 7_201, 7_202])).toBe(0);
  });
});
