import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { settingNames } from '../../src/config/load.ts';

const file = readFileSync('src/ops/kubernetes/runcash-live.yaml', 'utf8');
const manifests = parseAllDocuments(file, { merge: true }).map((document): unknown => document.toJS());

/** Where the types of each kind stand in `kubernetes-types`, which is made from the API's own OpenAPI schemas. */
const MODULES: Readonly<Record<string, string>> = {
  Deployment: 'apps/v1',
  Service: 'core/v1',
  PodDisruptionBudget: 'policy/v1',
  HorizontalPodAutoscaler: 'autoscaling/v2',
};

/** Complaints of the compiler about manifests written as literals of the API's types: unknown keys, wrong values. */
function complaints(documents: readonly unknown[]): string {
  const folder = mkdtempSync(join('node_modules', '.manifests-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const lines = documents.map((document, at) => {
    const { kind, apiVersion } = z.object({ kind: z.string(), apiVersion: z.string() }).parse(document);
    const [group = ''] = (MODULES[kind] ?? '').split('/v');
    expect(apiVersion.replace(/^v/, 'core/v'), kind).toBe(MODULES[kind]);
    return `import type { ${kind} as Kind${at} } from 'kubernetes-types/${group}/${apiVersion.split('/').at(-1)}.js';
export const manifest${at}: Kind${at} = ${JSON.stringify(document)};`;
  });
  const source = join(folder, 'manifests.ts');
  writeFileSync(source, lines.join('\n'));
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--types', '', '--ignoreConfig'];
  return spawnSync('npx', ['tsc', ...options, source], { encoding: 'utf8' }).stdout;
}

const probe = z.object({
  httpGet: z.object({
    path: z.string(),
    port: z.literal('http'),
    httpHeaders: z.tuple([z.object({ name: z.literal('Host'), value: z.string() })]),
  }),
});
const deployment = z.object({
  kind: z.literal('Deployment'),
  spec: z.object({
    template: z.object({
      spec: z.object({
        terminationGracePeriodSeconds: z.number(),
        containers: z.tuple([
          z.object({
            env: z.array(z.object({ name: z.string(), value: z.string() })),
            startupProbe: probe,
            livenessProbe: probe,
            readinessProbe: probe,
            lifecycle: z.object({ preStop: z.object({ sleep: z.object({ seconds: z.number() }) }) }),
          }),
        ]),
      }),
    }),
  }),
});

const { terminationGracePeriodSeconds, containers } = deployment.parse(manifests[0]).spec.template.spec;
const [live] = containers;
const setting = (name: string): string => live.env.find((each) => each.name === name)?.value ?? '';

describe('the manifests for Kubernetes', () => {
  it('are a Deployment, a Service, a disruption budget and an autoscaler, as the schemas of the API have them', () => {
    const kinds = manifests.map((manifest) => z.object({ kind: z.string() }).parse(manifest).kind);
    expect(kinds).toEqual(Object.keys(MODULES));
    expect(complaints(manifests)).toBe('');
  });

  it('would fail that check with a key that the API does not know, and with a value of another type', () => {
    const misspelt = { apiVersion: 'v1', kind: 'Service', spec: { selectors: { app: 'x' } } };
    expect(complaints([misspelt])).toContain("does not exist in type 'ServiceSpec'");
    const budget = { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget', spec: { minAvailable: true } };
    expect(complaints([budget])).toMatch(/Type 'true' is not assignable to type 'string/);
  });

  it('set what the service has settings for', () => {
    const known: readonly string[] = settingNames;
    expect(live.env.map(({ name }) => name).filter((name) => !known.includes(name))).toEqual([]);
  });

  it('stop taking newcomers before the instance says that it stops, and let it send its clients away', () => {
    const announceSeconds = Number(setting('DRAIN_ANNOUNCE_SECONDS'));
    const preStopSeconds = live.lifecycle.preStop.sleep.seconds;
    expect(preStopSeconds).toBeGreaterThan(announceSeconds);
    const stopSeconds = preStopSeconds + announceSeconds + Number(setting('DRAIN_SECONDS'));
    expect(terminationGracePeriodSeconds).toBeGreaterThanOrEqual(stopSeconds + 10);
  });

  it('probe by a name that the service answers to, and take an instance out only while it is not ready', () => {
    for (const { httpGet } of [live.startupProbe, live.livenessProbe, live.readinessProbe]) {
      expect(setting('ALLOWED_HOSTS').split(',')).toContain(httpGet.httpHeaders[0].value);
    }
    expect(live.livenessProbe.httpGet.path).toBe('/healthz');
    expect(live.readinessProbe.httpGet.path).toBe('/readyz');
  });

  it('scale on a metric that the service has', () => {
    const scaler = JSON.stringify(manifests.at(-1));
    const [, metric = ''] = /"name":"(runcash_\w+)"/.exec(scaler) ?? [];
    expect(readFileSync('src/metrics/table.ts', 'utf8')).toContain(`${metric}: gauge`);
  });
});
