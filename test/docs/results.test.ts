import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { withProof, wrapped } from '../../bench/chaos/record.ts';
import { withSection } from '../../bench/harness/results.ts';

const results = readFileSync('bench/RESULTS.md', 'utf8');

describe('RESULTS.md', () => {
  it('has one section for each bench that was recorded, the newest', () => {
    const names = [...results.matchAll(/^## ([\w-]+), \d{4}/gm)].map(([, name]) => name);
    expect(names.length).toBeGreaterThan(8);
    expect(new Set(names).size).toBe(names.length);
  });

  it('gets a new result in the place of the last one of its bench, and a new bench at the end', () => {
    const text = '# Results\n\n## a, 2026-01-01\n\nold\n\n## b, 2026-01-01\n\nkept\n';
    expect(withSection(text, 'a', '## a, 2026-02-02\n\nnew')).toBe(
      '# Results\n\n## a, 2026-02-02\n\nnew\n\n## b, 2026-01-01\n\nkept\n',
    );
    expect(withSection(text, 'b', '## b, 2026-02-02\n\nnew')).toBe(
      '# Results\n\n## a, 2026-01-01\n\nold\n\n## b, 2026-02-02\n\nnew\n',
    );
    expect(withSection(text, 'c', '## c, 2026-02-02\n\nnew')).toBe(`${text}\n## c, 2026-02-02\n\nnew\n`);
  });

  it('has a place for the last proof', () => {
    expect(withProof(results, wrapped('Done.'))).toContain('<!-- proof -->\nDone.\n<!-- /proof -->');
  });
});
