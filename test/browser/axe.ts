import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { isFields } from '../../src/client/read.ts';

const source = readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** What axe-core has to say, one line for each kind of finding that is serious or critical. */
export async function findingsOn(page: Page): Promise<string[]> {
  await page.evaluate(await source);
  const result = await page.evaluate<unknown>('axe.run()');
  const violations = isFields(result) ? result['violations'] : null;
  if (!Array.isArray(violations)) throw new TypeError('axe said nothing');
  return violations
    .filter(isFields)
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${JSON.stringify(nodes).slice(0, 300)}`);
}
