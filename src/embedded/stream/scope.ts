import type { StreamOperation } from './event.ts';

/** What a stream watches: one collection, one database, or (neither given) the whole cluster. */
export interface StreamScope {
  readonly db?: string;
  readonly coll?: string;
}

const INTERNAL_DATABASES: ReadonlySet<string> = new Set(['admin', 'config', 'local']);
/** Kinds that every stream shows; the others are the expanded events. */
const BASIC_KINDS: ReadonlySet<string> = new Set([
  'insert',
  'update',
  'replace',
  'delete',
  'drop',
  'rename',
  'dropDatabase',
]);

function watches(scope: StreamScope, db: string, coll: string | undefined): boolean {
  if (scope.db === undefined) return !INTERNAL_DATABASES.has(db) && coll?.startsWith('system.') !== true;
  if (scope.db !== db) return false;
  if (scope.coll === undefined) return coll?.startsWith('system.') !== true;
  return coll === undefined || scope.coll === coll;
}

/** Whether the operation belongs to the stream. */
export function inScope(scope: StreamScope, operation: StreamOperation, expanded: boolean): boolean {
  if (!expanded && !BASIC_KINDS.has(operation.kind)) return false;
  if (watches(scope, operation.db, operation.coll))
    return operation.kind !== 'dropDatabase' || scope.coll === undefined;
  return 'to' in operation && operation.to !== undefined && watches(scope, operation.to.db, operation.to.coll);
}

/** Whether the stream ends after the operation. */
export function invalidates(scope: StreamScope, operation: StreamOperation): boolean {
  if (scope.db === undefined) return false;
  if (scope.coll === undefined) return operation.kind === 'dropDatabase';
  return operation.kind === 'drop' || operation.kind === 'rename' || operation.kind === 'dropDatabase';
}
