import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, location, typeMismatch } from '../errors.ts';
import { isDocument, setField, typeName } from '../values/types.ts';
import {
  compileExpression,
  DESCEND,
  type Environment,
  type Expression,
  type ExpressionOptions,
  evaluate,
  KEEP,
  PRUNE,
  type Scope,
} from './expression.ts';
import { rootScope } from './expression-scope.ts';
import { compileFilter, type FilterOptions } from './filter.ts';
import { compileAddFields, compileProjectStage, compileUnset } from './projection.ts';

/** A stage that looks at one document at a time; null drops the document. */
export type DocumentStage = (document: Document) => Document | null;

type StageCompiler = (spec: unknown, scope: Scope, options: FilterOptions, name: string) => DocumentStage;

const DOCUMENT_STAGES: Readonly<Record<string, StageCompiler>> = {
  $match: (spec, scope, options) => {
    if (!isDocument(spec)) throw location(15959, 'the match filter must be an expression in an object');
    const test = compileFilter(spec, { ...options, scope });
    return (document) => (test(document) ? document : null);
  },
  $project: compileProjectStage,
  $addFields: (spec, scope, _options, name) => compileAddFields(spec, scope, name),
  $set: (spec, scope, _options, name) => compileAddFields(spec, scope, name),
  $unset: compileUnset,
  $replaceRoot: (spec, scope) => {
    if (!isDocument(spec))
      throw location(40229, `expected an object as specification for $replaceRoot stage, got ${typeName(spec)}`);
    if (!Object.hasOwn(spec, 'newRoot')) throw location(40231, 'no newRoot specified for the $replaceRoot stage');
    return replaceRoot(compileExpression(spec['newRoot'], scope));
  },
  $replaceWith: (spec, scope) => replaceRoot(compileExpression(spec, scope)),
  $redact: (spec, scope) => redact(compileExpression(spec, scope)),
};

const UPDATE_STAGES: ReadonlySet<string> = new Set([
  '$addFields',
  '$set',
  '$project',
  '$unset',
  '$replaceRoot',
  '$replaceWith',
]);

/**
 * Compiles a stage that works on single documents.
 *
 * @returns undefined for a stage of another kind
 */
export function compileDocumentStage(
  name: string,
  spec: unknown,
  scope: Scope,
  options: FilterOptions,
): DocumentStage | undefined {
  return Object.hasOwn(DOCUMENT_STAGES, name) ? DOCUMENT_STAGES[name]?.(spec, scope, options, name) : undefined;
}

/**
 * The name and operand of a pipeline stage.
 *
 * @throws CommandError 14 TypeMismatch, 40323 for anything but an object of one field
 */
export function stageOf(stage: unknown): [string, unknown] {
  if (!isDocument(stage)) throw typeMismatch("Each element of the 'pipeline' array must be an object");
  const entries: [string, unknown][] = Object.entries(stage);
  const [first] = entries;
  if (first === undefined || entries.length > 1)
    throw location(40323, 'A pipeline stage specification object must contain exactly one field.');
  return first;
}

/** Stages one after the other; a dropped document goes no further. */
export function chain(stages: readonly DocumentStage[]): DocumentStage {
  return (document) => {
    let current: Document | null = document;
    for (const stage of stages) {
      if (current === null) return null;
      current = stage(current);
    }
    return current;
  };
}

/**
 * Compiles an update pipeline.
 *
 * @throws CommandError 72 InvalidOptions for a stage that updates do not allow, 40324 for an unknown one
 */
export function compileUpdatePipeline(
  pipeline: readonly unknown[],
  options: ExpressionOptions,
): (document: Document) => Document {
  const scope = rootScope(options);
  const transform = chain(
    pipeline.map((stage) => {
      const [name, spec] = stageOf(stage);
      const compiled = UPDATE_STAGES.has(name) ? compileDocumentStage(name, spec, scope, options) : undefined;
      if (compiled !== undefined) return compiled;
      throw new CommandError(CODES.InvalidOptions, `${name} is not allowed to be used within an update`);
    }),
  );
  return (document) => transform(document) ?? document;
}

function replaceRoot(newRoot: Expression): DocumentStage {
  return (document) => {
    const value = evaluate(newRoot, document);
    if (isDocument(value)) return value;
    throw location(
      40228,
      `'newRoot' expression must evaluate to an object, but resulting value was of type ${typeName(value)}`,
    );
  };
}

function redact(condition: Expression): DocumentStage {
  const visit = (current: Document, root: Document): Document | null => {
    const environment: Environment = { root, current, slots: [] };
    const answer = condition(environment);
    if (answer === KEEP) return current;
    if (answer === PRUNE) return null;
    if (answer !== DESCEND)
      throw location(17053, '$redact must not return anything other than $$KEEP, $$PRUNE or $$DESCEND');
    const result: Document = {};
    for (const [key, value] of Object.entries(current) as [string, unknown][]) {
      const kept = descend(value, root);
      if (kept !== undefined) setField(result, key, kept);
    }
    return result;
  };
  const descend = (value: unknown, root: Document): unknown => {
    if (isDocument(value)) return visit(value, root) ?? undefined;
    if (!Array.isArray(value)) return value;
    return value.map((item: unknown) => descend(item, root)).filter((item) => item !== undefined);
  };
  return (document) => visit(document, document);
}
