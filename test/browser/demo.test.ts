import { expect, it } from 'vitest';
import { freePort, startProcess } from '../support/process.ts';
import { hasChromium, isBuilt, openTheatre } from './theatre.ts';

const SIGNALS_MS = 10_000;

it.runIf(hasChromium && isBuilt)(
  'the demo shows signals within ten seconds and a past of 500 numbers, and says that it is one',
  async () => {
    const port = await freePort();
    const demo = startProcess('src/cli/main.js', ['demo'], {
      PORT: String(port),
      EMBEDDED_PORT: String(await freePort()),
      EMBEDDED_DATA_DIR: '',
      DRAIN_SECONDS: '0',
    });
    await demo.line(/"event":"ready"|is ready/);
    const theatre = await openTheatre();
    const { page, context } = await theatre.open({ url: `http://127.0.0.1:${port}` });
    await page.waitForSelector('[data-signal]:not(.doubt)', { timeout: SIGNALS_MS });
    await page.waitForSelector('.bar.demo:has-text("Demonstração")');
    await page.waitForSelector('.card >> nth=38');
    const phone = await theatre.open({ url: `http://127.0.0.1:${port}`, width: 390, height: 844 });
    await phone.page.waitForSelector('.bar.demo');
    await phone.page.waitForSelector('.rows .card >> nth=38');
    const rows = await phone.page.$$eval('.rows .card', (cards) =>
      cards.map((card) => card.getBoundingClientRect().bottom),
    );
    expect(rows.filter((bottom) => bottom <= 844).length).toBeGreaterThanOrEqual(24);
    await theatre.picture(phone.page, 'demo-phone');
    await phone.context.close();
    await page.goto(`http://127.0.0.1:${port}/#/mesa/2010165?n=500`);
    await page.reload();
    await page.waitForSelector('.as-history .chip >> nth=499');
    await page.waitForSelector('.changes li time');
    await theatre.picture(page, 'demo-table');
    await context.close();
    await theatre.stop();
    expect(await demo.end('SIGINT')).toBe(0);
  },
);
