import type { NetworkApp } from '../network/network.ts';
import type { HttpDeps } from './deps.ts';
import { docsRoutes } from './docs.ts';
import { emitEventRoute } from './emit-event.ts';
import { fileRoutes, rootRoute } from './files.ts';
import { healthRoutes } from './health.ts';
import { ingestRoutes } from './ingest.ts';
import { legacyRoot, legacyRoutes } from './legacy.ts';
import type { HttpOptions } from './options.ts';
import { type Route, registerRoutes } from './router.ts';
import { statusRoutes } from './status.ts';
import { tableRoutes } from './tables.ts';
import { writersOf } from './writers.ts';

/** Every route of plain HTTP. Throws RangeError for files that cannot be served. */
export function routesOf(deps: HttpDeps, options: HttpOptions): Route[] {
  const writers = writersOf(deps, options);
  return [
    ...ingestRoutes(writers),
    emitEventRoute(deps, writers, options),
    ...tableRoutes(deps, options),
    ...legacyRoutes(deps, writers, options),
    ...healthRoutes(deps),
    ...statusRoutes(deps, options),
    ...docsRoutes(options),
    rootRoute(deps.files.get('/'), () => legacyRoot(deps, options)),
    ...fileRoutes(deps.files),
  ];
}

/**
 * Everything that is answered over plain HTTP, and 404 for every address that nobody registered: register it after the
 * other transports. Throws RangeError for origins or files that cannot be served.
 */
export function httpRoutes(deps: HttpDeps, options: HttpOptions): (app: NetworkApp) => void {
  const routes = routesOf(deps, options);
  return (app) => registerRoutes(app, routes, deps, options);
}
