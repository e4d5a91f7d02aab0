import { ProtocolError } from '../../protocol/errors.ts';
import { json } from '../door/answer.ts';
import { acceptNames } from '../door/arrival.ts';
import { adminCheck } from './admin.ts';
import type { HttpDeps } from './deps.ts';
import { healthOf } from './health.ts';
import { escapeHtml, htmlPage, valueHtml } from './html.ts';
import type { HttpOptions } from './options.ts';
import type { Route } from './route.ts';
import { STATUS } from './schemas.ts';

type StatusDeps = Parameters<typeof healthOf>[0] & Pick<HttpDeps, 'detail' | 'metrics'>;

const REFRESH_SECONDS = 5;

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
 * like `/metrics`, only for the admin key or this machine.
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
      operations: {
        get: {
          group: 'Running it',
          summary: 'Metrics for Prometheus',
          access: 'admin',
          answers: { '200': null },
          errors: [401],
        },
      },
      get: async (exchange) => {
        if (!isAdmin(exchange)) throw new ProtocolError('unauthorized');
        const body = await deps.metrics();
        return { status: 200, body, headers: { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' } };
      },
    },
  ];
}
