import type { TemplatedApp } from 'uWebSockets.js';
import type { HttpDeps } from './deps.ts';
import { emitEventRoute } from './emit-event.ts';
import { fileRoutes, rootRoute } from './files.ts';
import { healthRoutes } from './health.ts';
import { ingestRoutes } from './ingest.ts';
import { legacyRoot, legacyRoutes } from './legacy.ts';
import type { HttpOptions } from './options.ts';
import { registerRoutes } from './router.ts';
import { statusRoutes } from './status.ts';
import { tableRoutes } from './tables.ts';
import { writersOf } from './writers.ts';

/**
 * Everything that is answered over plain HTTP, and 404 for every address that nobody registered. Throws RangeError for
 * origins or files that cannot be served.
 */
export function httpRoutes(deps: HttpDeps, options: HttpOptions): (app: TemplatedApp) => void {
  const writers = writersOf(deps, options);
  const routes = [
    ...ingestRoutes(writers),
    emitEventRoute(deps, writers, options),
    ...tableRoutes(deps, options),
    ...legacyRoutes(deps, writers, options),
    ...healthRoutes(deps),
    ...statusRoutes(deps, options),
    rootRoute(deps.files.get('/'), () => legacyRoot(deps, options)),
    ...fileRoutes(deps.files),
  ];
  return (app) => registerRoutes(app, routes, deps, options);
}
