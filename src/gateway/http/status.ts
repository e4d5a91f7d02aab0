import { ProtocolError } from '../../protocol/errors.ts';
import { json } from '../door/answer.ts';
import { acceptNames } from '../door/arrival.ts';
import { adminCheck } from './callers.ts';
import type { HttpDeps } from './deps.ts';
import { healthOf } from './health.ts';
import { escapeHtml, htmlPage, valueHtml } from './html.ts';
import type { HttpOptions } from './options.ts';
import { integerParameter, need } from './query.ts';
import type { Operation, Route } from './route.ts';
import { STATUS, STATUS_HISTORY } from './schemas.ts';

type StatusDeps = Parameters<typeof healthOf>[0] & Pick<HttpDeps, 'detail' | 'metrics' | 'statusHistory'>;

const REFRESH_SECONDS = 5;
const MINUTES = { min: 1, max: 60, fallback: 60 } as const;

const ADMIN = { group: 'Running it', access: 'admin' } as const;
const HISTORY: Operation = {
  ...ADMIN,
  summary: 'The last hour in samples of ten seconds, and the last 100 alerts with their begin and end',
  about: 'Of this instance, with all its WORKERS; kept in memory, so a restart begins anew.',
  parameters: [{ name: 'minutes', in: 'query', about: 'How far back the samples go.', integer: MINUTES }],
  answers: { '200': STATUS_HISTORY },
  errors: [400],
};
const METRICS: Operation = { ...ADMIN, summary: 'Metrics for Prometheus', answers: { '200': null }, errors: [401] };

/** What everybody may know. */
function summaryOf(deps: StatusDeps, options: HttpOptions) {
  const { ready, live, reasons } = healthOf(deps);
  const feed = deps.feedStatus();
  return {
    service: options.service,
    version: options.version,
    state: live ? 'live' : ready ? 'degraded' : 'not_ready',
    ready,
    reasons,
    database: deps.databaseOk() ? 'ok' : 'unavailable',
    tables: feed.tables,
    timestamp: new Date().toISOString(),
  };
}

/**
 * `/status`: what a person asks first, as JSON or, when `Accept` names text/html, to read. Feed and process in detail,
 * like `/metrics` and the history, only for the admin key or, where there is none, for this machine.
 */
export function statusRoutes(deps: StatusDeps, options: HttpOptions): Route[] {
  const isAdmin = adminCheck(options.adminKey);
  return [
    {
      pattern: '/status',
      essential: true,
      operations: {
        get: {
          group: 'Running it',
          summary: 'What a person asks first; feed and process in detail for administrators',
          about: 'A page when Accept names text/html.',
          answers: { '200': STATUS },
        },
      },
      get: (exchange) => {
        const summary = summaryOf(deps, options);
        const full = isAdmin(exchange) ? { ...summary, feed: deps.feedStatus(), ...deps.detail() } : summary;
        if (!acceptNames(exchange.header('accept'), 'text/html')) return json(200, full, { Vary: 'Accept, Origin' });
        const mood = summary.state === 'live' ? 'good' : 'bad';
        const words = summary.reasons.length === 0 ? 'All is well.' : summary.reasons.join(' ');
        const lead = `<p class="${mood}"><strong>${escapeHtml(summary.state)}</strong> – ${escapeHtml(words)}</p>`;
        return htmlPage(200, options.service, lead + valueHtml(full), REFRESH_SECONDS);
      },
    },
    {
      pattern: '/metrics',
      essential: true,
      operations: { get: METRICS },
      get: async (exchange) => {
        if (!isAdmin(exchange)) throw new ProtocolError('unauthorized');
        const body = await deps.metrics();
        return { status: 200, body, headers: { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' } };
      },
    },
    {
      pattern: '/api/v1/status/history',
      essential: true,
      operations: { get: HISTORY },
      get: async (exchange) => {
        if (!isAdmin(exchange)) throw new ProtocolError('unauthorized');
        return json(200, await deps.statusHistory(need(integerParameter(exchange.query, 'minutes', MINUTES))));
      },
    },
  ];
}
