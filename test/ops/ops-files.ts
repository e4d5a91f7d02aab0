import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';

/** One PromQL expression, and where it stands. */
export interface Expression {
  readonly place: string;
  readonly expr: string;
}

const rule = z.strictObject({
  alert: z.string(),
  expr: z.string(),
  for: z.string().optional(),
  labels: z.strictObject({ severity: z.enum(['warning', 'critical']) }),
  annotations: z.strictObject({ summary: z.string(), remedy: z.string() }),
});
const ruleFile = z.strictObject({
  groups: z.array(z.strictObject({ name: z.string(), rules: z.array(rule) })),
});

export const RULES_PATH = 'src/ops/alert-rules.yml';
export const rules = ruleFile.parse(parse(readFileSync(RULES_PATH, 'utf8'))).groups.flatMap((group) => group.rules);

const target = z.object({ expr: z.string(), legendFormat: z.string(), datasource: z.object({ uid: z.string() }) });
const panel = z.object({
  id: z.number(),
  type: z.string(),
  title: z.string(),
  description: z.string().optional(),
  gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
  targets: z.array(target).optional(),
});
const dashboardFile = z.object({
  uid: z.string(),
  title: z.string(),
  panels: z.array(panel),
  templating: z.object({ list: z.array(z.object({ name: z.string(), query: z.unknown() })) }),
});

export const DASHBOARD_PATH = 'src/ops/grafana/dashboards/runcash-live.json';
export const dashboard = dashboardFile.parse(JSON.parse(readFileSync(DASHBOARD_PATH, 'utf8')));

/** Every expression of the rules and of the dashboard. */
export const expressions: readonly Expression[] = [
  ...rules.map(({ alert, expr }) => ({ place: `alert ${alert}`, expr })),
  ...dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ place: `panel ${title}`, expr })),
  ),
];

/** The expression as Grafana would send it, with its variables filled in. */
export const filledIn = (expr: string): string =>
  expr.replaceAll('$__rate_interval', '1m').replaceAll('$instance', '.*');

const NAME = /\b(?:runcash|process)_[a-z0-9_]+/g;
const SELECTOR = /\b((?:runcash|process)_[a-z0-9_]+)\{([^}]*)\}/g;
const MATCHER = /(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g;

/** The metrics that an expression names. */
export const namesIn = (expr: string): string[] => [...new Set([...expr.matchAll(NAME)].map(([name]) => name))];

export interface Matcher {
  readonly name: string;
  readonly label: string;
  /** Alternatives of a regular expression one by one. */
  readonly values: readonly string[];
}

/** The labels that an expression selects by. */
export const matchersIn = (expr: string): Matcher[] =>
  [...expr.matchAll(SELECTOR)].flatMap(([, name = '', inside = '']) =>
    [...inside.matchAll(MATCHER)].map(([, label = '', , text = '']) => ({ name, label, values: text.split('|') })),
  );

/** The labels that an expression groups by. */
export const groupsIn = (expr: string): string[] =>
  [...expr.matchAll(/\b(?:by|on)\s*\(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(',').map((one) => one.trim()));
