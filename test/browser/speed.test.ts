import type { BrowserContext, Page } from 'playwright-core';
import { describe, expect, it } from 'vitest';
import { eveningTheatre, fillWithEvening, hasChromium, openTheatre, type Theatre } from './theatre.ts';

const PER_SECOND = 50;

/** Sends numbers to all tables in turn, 50 a second, and resolves when the page shows the last one. */
async function rush(theatre: Theatre, page: Page, events: number): Promise<void> {
  const ids = [...theatre.feed.tables.keys()];
  for (let sent = 0; sent < events; sent += 1) {
    theatre.feed.number(ids[sent % ids.length] ?? '', sent % 37);
    await new Promise((resolve) => setTimeout(resolve, 1000 / PER_SECOND));
  }
  const last = ids[(events - 1) % ids.length];
  await page.waitForSelector(`[data-table="${last}"] .last .chip:text-matches("^${(events - 1) % 37} ")`);
}

/** Milliseconds that the page's own thread was busy, and bytes of its heap after a collection. */
async function meterOf(context: BrowserContext, page: Page) {
  const session = await context.newCDPSession(page);
  // Time of the thread: what other processes take does not count.
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  const of = async (...names: readonly string[]): Promise<number> => {
    const { metrics } = await session.send('Performance.getMetrics');
    return names.reduce((sum, name) => sum + (metrics.find((metric) => metric.name === name)?.value ?? Number.NaN), 0);
  };
  return {
    busyMs: async (): Promise<number> => 1000 * (await of('TaskDuration')),
    heapBytes: async (): Promise<number> => {
      await session.send('HeapProfiler.collectGarbage');
      return await of('JSHeapUsedSize');
    },
  };
}

describe.runIf(hasChromium)('in a real browser, the page', () => {
  const theatre = eveningTheatre();

  // A neighbour on the machine can take a frame: `npm run bench -- page` counts those. What the page itself takes is its own.
  it('needs less time for an event than there is between two, with 39 tables at 50 events a second', async () => {
    const { page, context } = await theatre.open();
    await page.waitForSelector('.card >> nth=38');
    const { busyMs } = await meterOf(context, page);
    const before = await busyMs();
    await rush(theatre, page, 250);
    expect(((await busyMs()) - before) / 250).toBeLessThan(12);
    await context.close();
  });

  it('shows 300 tables within one and a half seconds of its own time, and keeps its heap flat', async () => {
    const crowd = await openTheatre();
    for (let more = 0; more < 261; more += 1) crowd.feed.number(String(2_500_000 + more), more % 37);
    await fillWithEvening(crowd.feed);
    const { page, context } = await crowd.open({ path: '/#/?ver=cartoes' });
    const { busyMs, heapBytes } = await meterOf(context, page);
    await page.waitForSelector('.card >> nth=299');
    expect(await busyMs()).toBeLessThan(1_500);
    const burst = async (): Promise<number> => {
      const ids = [...crowd.feed.tables.keys()];
      // More than the list of events keeps, so that nothing is still growing up to its bound.
      for (let sent = 0; sent < 3_000; sent += 1) crowd.feed.number(ids[sent % ids.length] ?? '', sent % 37);
      crowd.feed.number('2010165', 36);
      await page.waitForSelector('[data-table="2010165"] .last .chip:text-matches("^36 ")');
      crowd.feed.number('2010165', 1);
      await page.waitForSelector('[data-table="2010165"] .last .chip:text-matches("^1 ")');
      return await heapBytes();
    };
    await burst();
    const before = await burst();
    const after = await burst();
    expect(after / before).toBeLessThan(1.1);
    await context.close();
    await crowd.stop();
  });
});
