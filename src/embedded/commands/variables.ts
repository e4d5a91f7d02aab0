import type { Document } from 'bson';
import { compileExpression, evaluate } from '../query/expression.ts';
import { rootScope } from '../query/expression-scope.ts';
import { optionalDocument } from './fields.ts';

/**
 * The command's `let`: every value is an expression that names no field, evaluated once.
 *
 * @throws CommandError for an expression that does not parse
 */
export function commandVariables(body: Document): Document | undefined {
  const given = optionalDocument(body, 'let');
  if (given === undefined) return undefined;
  const scope = rootScope();
  return Object.fromEntries(
    Object.entries(given).map(([name, value]: [string, unknown]) => [
      name,
      evaluate(compileExpression(value, scope), {}),
    ]),
  );
}
