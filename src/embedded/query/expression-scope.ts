import type { Document } from 'bson';
import {
  type Cell,
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
import { ACCUMULATING_OPERATORS } from './expression-accumulate.ts';
import { ARITHMETIC_OPERATORS } from './expression-arithmetic.ts';
import { ARRAY_OPERATORS } from './expression-arrays.ts';
import { CONTROL_OPERATORS } from './expression-control.ts';
import { CONVERT_OPERATORS } from './expression-convert.ts';
import { DATE_OPERATORS } from './expression-dates.ts';
import { OBJECT_OPERATORS } from './expression-objects.ts';
import { REAL_OPERATORS } from './expression-reals.ts';
import { SET_OPERATORS } from './expression-sets.ts';
import { STRING_OPERATORS } from './expression-strings.ts';

const OPERATORS: Readonly<Record<string, OperatorCompiler>> = {
  ...CONTROL_OPERATORS,
  ...ARITHMETIC_OPERATORS,
  ...REAL_OPERATORS,
  ...ACCUMULATING_OPERATORS,
  ...ARRAY_OPERATORS,
  ...SET_OPERATORS,
  ...STRING_OPERATORS,
  ...OBJECT_OPERATORS,
  ...CONVERT_OPERATORS,
  ...DATE_OPERATORS,
};

/** A scope with every operator, the system's variables and the command's own. */
export function rootScope(options: ExpressionOptions = {}): Scope {
  if (options.scope !== undefined) return options.scope;
  let next = 0;
  const variables: [string, unknown][] = [
    ['NOW', options.now ?? new Date()],
    ['REMOVE', undefined],
    ['DESCEND', DESCEND],
    ['PRUNE', PRUNE],
    ['KEEP', KEEP],
    ...Object.entries(options.variables ?? {}),
  ];
  const cells = new Map(variables.map(([name, value]): [string, Cell] => [name, { value }]));
  return { slots: new Map(), cells, allocate: () => next++, operators: OPERATORS };
}

/** Compiles `$expr`: an expression as a condition on documents. */
export function compileCondition(spec: unknown, options: ExpressionOptions): (document: Document) => boolean {
  const condition = compileExpression(spec, rootScope(options));
  return (document) => isTrue(evaluate(condition, document));
}
