import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { ownSurroundings } from '../../src/config/load.ts';
import { ALERTS } from '../../src/metrics/alert-names.ts';
import { type Definition, METRICS } from '../../src/metrics/table.ts';
import { dashboard, expressions, filledIn, groupsIn, matchersIn, namesIn, RULES_PATH, rules } from './ops-files.ts';

const definitions = new Map(Object.entries<Definition>(METRICS));

/** The metric that a series of an expression belongs to; undefined when there is none. */
function definitionOf(series: string): Definition | undefined {
  const own = definitions.get(series);
  if (own !== undefined) return own.type === 'histogram' ? undefined : own;
  const whole = definitions.get(series.replace(/_(bucket|sum|count)$/, ''));
  return whole?.type === 'histogram' ? whole : undefined;
}

/** What Prometheus adds to every series of a target. */
const TARGET_LABELS = ['instance', 'job'];

describe('every expression of the rules and the dashboard', () => {
  it('names only metrics that exist, histograms by their buckets, sums and counts', () => {
    expect(expressions.length).toBeGreaterThan(50);
    for (const { place, expr } of expressions) {
      for (const name of namesIn(expr))
        expect([place, name, definitionOf(name) !== undefined]).toEqual([place, name, true]);
    }
  });

  it('selects by labels that the metric has, and by values that it can have', () => {
    for (const { place, expr } of expressions) {
      for (const { name, label, values } of matchersIn(expr)) {
        if (TARGET_LABELS.includes(label)) continue;
        const known = definitionOf(name)?.labels[label];
        expect([place, name, label, known !== undefined]).toEqual([place, name, label, true]);
        if (typeof known === 'object')
          for (const value of values) expect([place, known]).toEqual([place, expect.arrayContaining([value])]);
      }
    }
  });

  it('groups by labels that one of its metrics has', () => {
    for (const { place, expr } of expressions) {
      const labels = namesIn(expr).flatMap((name) => Object.keys(definitionOf(name)?.labels ?? {}));
      for (const label of groupsIn(expr))
        expect([place, [...TARGET_LABELS, 'le', ...labels]]).toEqual([place, expect.arrayContaining([label])]);
    }
  });

  it('takes rates of counters and histograms alone', () => {
    for (const { place, expr } of expressions) {
      for (const [, name = ''] of expr.matchAll(/\b(?:rate|increase)\(([a-z0-9_]+)/g)) {
        expect([place, name, definitionOf(name)?.type === 'gauge']).toEqual([place, name, false]);
      }
    }
  });
});

describe('the alert rules', () => {
  it('have names of their own, say what is wrong, and what to do', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { alert, annotations } of rules) {
      expect(alert).toMatch(/^Runcash[A-Z]/);
      for (const words of Object.values(annotations)) expect(words).toMatch(/\.$/);
    }
  });

  it('repeat every alert of the service with its severity and remedy, and no threshold of it', () => {
    const own = rules.filter(({ expr }) => namesIn(expr).includes('runcash_alerts_firing'));
    expect(
      own.map(({ alert, expr, labels, annotations }) => [alert, expr, labels.severity, annotations.remedy]),
    ).toEqual(
      Object.entries(ALERTS).map(([name, { severity, remedy }]) => [
        `Runcash${name
          .split('_')
          .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
          .join('')}`,
        `sum by (instance) (runcash_alerts_firing{alert="${name}"}) > 0`,
        severity,
        remedy,
      ]),
    );
    // Held and calmed down by the service already.
    for (const rule of own) expect(rule).not.toHaveProperty('for');
  });
});

describe('the dashboard', () => {
  it('shows every metric', () => {
    const shown = new Set(
      dashboard.panels.flatMap(({ targets = [] }) =>
        targets.flatMap(({ expr }) => namesIn(expr).map((name) => name.replace(/_(bucket|sum|count)$/, ''))),
      ),
    );
    expect([...definitions.keys()].filter((name) => !shown.has(name))).toEqual([]);
  });

  it('has panels with ids of their own that do not overlap, each with words and the chosen data source', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const taken = new Set<string>();
    for (const { title, type, description, gridPos, targets = [] } of dashboard.panels) {
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect([title, x < 24, taken.has(`${x} ${y}`)]).toEqual([title, true, false]);
          taken.add(`${x} ${y}`);
        }
      }
      if (type !== 'row') expect([title, description]).toEqual([title, expect.stringMatching(/\.$/)]);
      for (const { datasource } of targets) expect(datasource.uid).toContain('{datasource}');
    }
  });
});

describe('prometheus.yml', () => {
  const config = parse(readFileSync('src/ops/prometheus.yml', 'utf8'));
  const compose = parse(readFileSync('docker-compose.yml', 'utf8'), { merge: true });

  it('scrapes the instances of docker-compose.yml, with the key that opens /metrics', () => {
    const [job] = config.scrape_configs;
    for (const name of job.dns_sd_configs[0].names) expect(Object.keys(compose.services)).toContain(name);
    expect(job.dns_sd_configs[0].port).toBe(Number(compose.services.live.environment.PORT));
    expect(job.authorization.credentials_file).toBe(`/run/secrets/${compose.services.prometheus.secrets[0]}`);
    expect(compose.secrets[compose.services.prometheus.secrets[0]]).toEqual({ environment: 'ADMIN_KEY' });
    expect(config.rule_files).toEqual([RULES_PATH.replace('src/ops/', '')]);
  });

  it('and Grafana belong to the monitoring profile, and are open to this machine alone', () => {
    for (const name of ['prometheus', 'grafana']) {
      expect(compose.services[name].profiles).toEqual(['monitoring']);
      for (const port of compose.services[name].ports) expect(port).toMatch(/^127\.0\.0\.1:/);
    }
    const [source] = parse(readFileSync('src/ops/grafana/provisioning/datasources/prometheus.yml', 'utf8')).datasources;
    expect(source.url).toBe('http://prometheus:9090');
  });
});

describe('promtool', () => {
  const folder = mkdtempSync(join(tmpdir(), 'runcash-promtool-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const places = [...ownSurroundings().searchPath.map((path) => join(path, 'promtool'))];

  async function promtool(...args: string[]): Promise<string | null> {
    for (const program of places) {
      try {
        const { stdout, stderr } = await promisify(execFile)(program, args);
        return stdout + stderr;
      } catch (error) {
        const absent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
        if (!absent) throw error;
      }
    }
    return null;
  }

  it('accepts the rules, the configuration and every expression of the dashboard', async ({ skip }) => {
    const own = {
      groups: [
        { name: 'all', rules: expressions.map(({ expr }, index) => ({ record: `x:${index}`, expr: filledIn(expr) })) },
      ],
    };
    const path = join(folder, 'expressions.yml');
    writeFileSync(path, stringify(own));
    const checked = await promtool('check', 'rules', RULES_PATH, path);
    if (checked === null) return skip('promtool is not installed here');
    expect(checked).toContain(`SUCCESS: ${rules.length} rules found`);
    expect(checked).toContain(`SUCCESS: ${expressions.length} rules found`);
    expect(await promtool('check', 'config', '--syntax-only', 'src/ops/prometheus.yml')).toContain('SUCCESS');
  });

  it('sees the rules fire, and only when they should', async ({ skip }) => {
    const done = await promtool('test', 'rules', 'test/ops/alert-rules.test.yml');
    if (done === null) return skip('promtool is not installed here');
    expect(done).toContain('SUCCESS');
  });
});
