import type { Arrivals } from '../door/arrival.ts';
import type { Authenticator } from '../door/jwt.ts';
import type { NetworkApp } from '../network/network.ts';
import type { HttpDeps } from './deps.ts';
import { docsRoutes } from './docs.ts';
import { fileRoutes } from './files.ts';
import { healthRoutes } from './health.ts';
import { historyRoutes } from './history.ts';
import { ingestRoutes, type Writers, writersOf } from './ingest.ts';
import { logRoutes } from './log.ts';
import type { HttpOptions } from './options.ts';
import type { Respond, Route } from './route.ts';
import { registerRoutes } from './router.ts';
import { statusRoutes } from './status.ts';
import { tableRoutes } from './tables.ts';
import { TRANSPORT_ROUTES } from './transports.ts';
import { type Reads, readsOf } from './view.ts';

/** What routes are built from. Tables are read by `reads` alone, under what the caller may see. */
export interface RouteTools {
  readonly deps: Omit<HttpDeps, 'tables' | 'table' | 'resolve'>;
  readonly reads: Reads;
  readonly options: HttpOptions;
  readonly writers: Writers;
}

/** Routes of another room, under the same limits. */
type ExtraRoutes = (tools: RouteTools) => readonly Route[];

/** The route with what needs MongoDB at rest passed on. */
const passing = (route: Route, passOn: Respond): Route => ({
  ...route,
  ...Object.fromEntries((route.atRest ?? []).map((method) => [method, passOn])),
});

/** Every route of plain HTTP. Throws RangeError for files that cannot be served. */
export function routesOf(
  deps: HttpDeps,
  options: HttpOptions,
  extra: ExtraRoutes,
  authenticator: Authenticator | null,
): Route[] {
  const reads = readsOf(deps, authenticator, options.publicReads);
  const writers = writersOf(deps, options);
  const routes: readonly Route[] = [
    ...ingestRoutes(writers, options.liveMaxAgeMs),
    ...tableRoutes(deps, reads),
    ...historyRoutes(deps, reads, options),
    ...logRoutes(deps, reads, options),
    ...extra({ deps, reads, options, writers }),
    ...healthRoutes(deps),
    ...statusRoutes(deps, options),
    ...fileRoutes(deps.files, options.pageServers),
  ];
  const { passOn } = deps;
  const served = passOn === undefined ? routes : routes.map((route) => passing(route, passOn));
  return [...served, ...docsRoutes(options, [...routes, ...TRANSPORT_ROUTES])];
}

/**
 * Registers routes on a server. `authenticator` is null where no token is asked for; `arrivals` are those of the gateway
 * around them, if there is one.
 */
export type RegisterRoutes = (app: NetworkApp, authenticator: Authenticator | null, arrivals?: Arrivals) => void;

/**
 * Everything that is answered over plain HTTP, and 404 for every address that nobody registered: register it after the
 * other transports. Throws RangeError for origins or files that cannot be served.
 */
export function httpRoutes(deps: HttpDeps, options: HttpOptions, extra: ExtraRoutes = () => []): RegisterRoutes {
  return (app, authenticator, arrivals) =>
    registerRoutes(app, routesOf(deps, options, extra, authenticator), deps, options, arrivals);
}
