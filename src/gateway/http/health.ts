import { builtinTrouble, type FeedStatus } from '../../protocol/delivery.ts';
import { ProtocolError } from '../../protocol/errors.ts';
import { json } from '../door/answer.ts';
import type { HttpDeps } from './deps.ts';
import type { Route } from './route.ts';
import { HEALTH, READINESS } from './schemas.ts';

type HealthDeps = Pick<HttpDeps, 'feedStatus' | 'databaseOk' | 'passOn' | 'builtinMongo' | 'draining'>;

interface ReportedHealth {
  /** Whether clients are served: caught up with the database once, and not stopping. */
  readonly ready: boolean;
  /** Whether what clients see is the present. */
  readonly present: boolean;
  /** Whether all is well. */
  readonly live: boolean;
  /** What is wrong, in words; empty when all is well. */
  readonly reasons: readonly string[];
}

/** The health of the service. A database that left after the start leaves it ready: memory still serves, marked stale. */
export function healthOf(deps: HealthDeps): ReportedHealth {
  const feed = deps.feedStatus();
  const draining = deps.draining();
  const refusing = builtinTrouble(deps.builtinMongo());
  const reasons = [
    ...(draining ? ['This instance is stopping.'] : []),
    ...feedReasons(feed),
    ...(deps.databaseOk()
      ? []
      : [deps.passOn === undefined ? 'MongoDB does not answer.' : 'No core of UPSTREAM is live.']),
    ...(refusing === null ? [] : [refusing]),
  ];
  const ready = feed.ready && !draining && feed.phase !== 'stopped';
  const present = ready && feed.phase === 'live' && feedReasons(feed).length === 0;
  return { ready, present, live: present && reasons.length === 0, reasons };
}

function feedReasons(feed: FeedStatus): string[] {
  const stalled = feed.majorityStalled ? ['The replica set cannot commit: no majority of its members answers.'] : [];
  if (feed.reason !== null) return [feed.reason, ...stalled];
  if (!feed.ready) return ['The service has not caught up with the database yet.', ...stalled];
  return feed.phase === 'live' ? stalled : [`The change stream is ${feed.phase}.`, ...stalled];
}

/** Throws `not_ready`: before the service has caught up, an empty list would be a lie. */
export function needReady(deps: Pick<HttpDeps, 'feedStatus'>): void {
  if (!deps.feedStatus().ready) throw new ProtocolError('not_ready', { retryMs: 1000 });
}

const readiness = (isFine: boolean, isReady: boolean, reasons: readonly string[]) =>
  json(isFine ? 200 : 503, { status: isReady ? 'ready' : 'not_ready', reasons }, isFine ? {} : { 'Retry-After': '1' });

/**
 * `/healthz`: the process answers. `/readyz`: it has caught up with the database once and serves clients, from memory
 * too. `/readyz/source`: what it serves is the present, so that a balancer can prefer another instance meanwhile.
 */
export const healthRoutes = (deps: HealthDeps): Route[] => [
  {
    pattern: '/healthz',
    essential: true,
    operations: {
      get: { group: 'Running it', summary: 'Whether the process answers', answers: { '200': HEALTH } },
    },
    get: () => json(200, { status: 'ok' }),
  },
  {
    pattern: '/readyz',
    essential: true,
    operations: {
      get: {
        group: 'Running it',
        summary: 'Whether clients may come, or why not (503)',
        answers: { '200': READINESS, '503': READINESS },
      },
    },
    get: () => {
      const { ready, reasons } = healthOf(deps);
      return readiness(ready, ready, reasons);
    },
  },
  {
    pattern: '/readyz/source',
    essential: true,
    operations: {
      get: {
        group: 'Running it',
        summary: 'Whether what clients are shown is the present, or why not (503)',
        answers: { '200': READINESS, '503': READINESS },
      },
    },
    get: () => {
      const { ready, present, reasons } = healthOf(deps);
      return readiness(present, ready, reasons);
    },
  },
];
