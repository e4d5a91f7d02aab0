import type { Document } from 'bson';
import {
  compileExpression,
  DESCEND,
  type ExpressionOptions,
  evaluate,
  isTrue,
  KEEP,
  type OperatorCompiler,
  PRUNE,
  type Scope,
} from './expression.ts';
import { CONTROL_OPERATORS } from './expression-control.ts';

const OPERATORS: Readonly<Record<string, OperatorCompiler>> = {
  ...CONTROL_OPERATORS,
};

/** A scope with every operator, the system's variables and the command's own. */
export function rootScope(options: ExpressionOptions = {}): Scope {
  let next = 0;
  const constants = new Map<string, unknown>([
    ['NOW', options.now ?? new Date()],
    ['REMOVE', undefined],
    ['DESCEND', DESCEND],
    ['PRUNE', PRUNE],
    ['KEEP', KEEP],
    ...Object.entries(options.variables ?? {}),
  ]);
  return { slots: new Map(), constants, allocate: () => next++, operators: OPERATORS };
}

/** Compiles `$expr`: an expression as a condition on documents. */
export function compileCondition(spec: unknown, options: ExpressionOptions): (document: Document) => boolean {
  const condition = compileExpression(spec, rootScope(options));
  return (document) => isTrue(evaluate(condition, document));
}
