import type { TemplatedApp } from 'uWebSockets.js';
import type { HttpDeps } from './deps.ts';
import { emitEventRoute } from './emit-event.ts';
import { healthRoutes } from './health.ts';
import { ingestRoutes } from './ingest.ts';
import type { HttpOptions } from './options.ts';
import { registerRoutes } from './router.ts';
import { writersOf } from './writers.ts';

/**
 * Everything that is answered over plain HTTP, and 404 for every address that nobody registered. Throws RangeError for
 * origins or hosts that cannot be read.
 */
export function httpRoutes(deps: HttpDeps, options: HttpOptions): (app: TemplatedApp) => void {
  const writers = writersOf(deps, options);
  const routes = [...ingestRoutes(writers), emitEventRoute(deps, writers, options), ...healthRoutes(deps)];
  return (app) => registerRoutes(app, routes, deps, options);
}
