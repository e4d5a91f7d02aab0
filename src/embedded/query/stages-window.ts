import { failedToParse } from '../errors.ts';
import { isDocument } from '../values/types.ts';
import type { Scope } from './expression.ts';
import { gather, type Stage } from './flow.ts';
import { runByMingo } from './mingo-bridge.ts';
import type { JoinContext } from './stages-join.ts';

/** `$setWindowFields`, `$densify` and `$fill`: stages of newer servers, as the mingo library has them. */
export function compileWindowStage(spec: unknown, _scope: Scope, _context: JoinContext, name: string): Stage {
  if (!isDocument(spec)) throw failedToParse(`the ${name} stage specification must be an object`);
  return function* window(documents) {
    yield* runByMingo(yield* gather(documents), name, spec);
  };
}
