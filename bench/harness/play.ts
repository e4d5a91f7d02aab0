import { at, nowUs } from './clock.ts';
import type { Spin, Table } from './spin.ts';
import type { Subject } from './subject.ts';
import type { Writer } from './writer.ts';

/** Spins to be sent together, so long after the beginning. */
export interface Step {
  readonly afterUs: number;
  readonly tables: readonly Table[];
}

export interface Played {
  readonly spins: readonly Spin[];
  /** Per spin, when MongoDB acknowledged it; when it was handed over, where no MongoDB is involved. */
  readonly ackUs: Float64Array;
}

/** Time between the order to play and the first step. */
const LEAD_US = 50_000;

/**
 * Sends steps at their moments whatever became of the earlier ones (an open loop): a server that is late is measured
 * late, instead of being asked less. Resolves when all are acknowledged.
 */
export async function play(
  subject: Pick<Subject, 'publish'>,
  writer: Writer,
  first: number,
  steps: readonly Step[],
): Promise<Played> {
  const startUs = nowUs() + LEAD_US;
  const spins: Spin[] = [];
  const moments: { readonly first: number; readonly ackUs: Promise<number> }[] = [];
  for (const { afterUs, tables } of steps) {
    const intendedUs = startUs + afterUs;
    const together = tables.map((table, index) => ({ seq: first + spins.length + index, intendedUs, table }));
    await at(intendedUs);
    const { publish } = subject;
    if (publish === null) moments.push({ first: spins.length, ackUs: writer.insert(together) });
    else {
      publish(together);
      moments.push({ first: spins.length, ackUs: Promise.resolve(nowUs()) });
    }
    spins.push(...together);
  }
  const ackUs = new Float64Array(spins.length);
  for (const [index, moment] of moments.entries()) {
    ackUs.fill(await moment.ackUs, moment.first, moments[index + 1]?.first ?? spins.length);
  }
  return { spins, ackUs };
}

/** `count` steps of `size` spins each, evenly apart, over the tables in turn. */
export function evenly(count: number, size: number, apartUs: number, tables: readonly Table[]): Step[] {
  return Array.from({ length: count }, (_, step) => ({
    afterUs: step * apartUs,
    tables: Array.from({ length: size }, (_unused, index) => {
      const table = tables[(step * size + index) % tables.length];
      if (table === undefined) throw new RangeError('no tables');
      return table;
    }),
  }));
}
