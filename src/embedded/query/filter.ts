import type { Document } from 'bson';
import { badValue } from '../errors.ts';
import type { StringOrder } from '../values/compare.ts';
import { toNumber } from '../values/numbers.ts';
import { isDocument, typeName } from '../values/types.ts';
import { BIT_OPERATORS, bitTest } from './bits.ts';
import type { ExpressionOptions } from './expression.ts';
import { compileCondition } from './expression-scope.ts';
import { compileJsonSchema } from './json-schema.ts';
import { type DocumentTest, type Leaf, type MatchDetails, testPath } from './path.ts';
import { anyOf, equalTo, isRegex, matching, modulo, ofSize, ofType, ordered, present } from './predicates.ts';

export interface FilterOptions extends ExpressionOptions {
  /** From the command's `collation`. */
  readonly strings?: StringOrder | undefined;
}

/** What a field is asked: leaves, and what combines them. Negation is over the whole path, not per array element. */
type Term =
  | { readonly kind: 'leaf'; readonly leaf: Leaf }
  | { readonly kind: 'and'; readonly terms: readonly Term[] }
  | { readonly kind: 'not'; readonly term: Term };

const leafTerm = (leaf: Leaf): Term => ({ kind: 'leaf', leaf });
const notTerm = (term: Term): Term => ({ kind: 'not', term });
const REFERENCE_FIELDS: ReadonlySet<string> = new Set(['$ref', '$id', '$db']);

/**
 * Compiles a query filter, as `find` takes it, to a test of decoded documents.
 *
 * The test may be given `details`; after a match through an array, `details.index` is the matched element's index,
 * which is what the positional operator `$` stands for.
 *
 * @throws CommandError 2 BadValue and others, with MongoDB's codes, for a filter that does not parse
 */
export function compileFilter(filter: Document, options: FilterOptions = {}): DocumentTest {
  return allOf(
    Object.entries(filter).flatMap(([name, operand]: [string, unknown]) =>
      name.startsWith('$') ? topLevel(name, operand, options) : [compileField(name, operand, options)],
    ),
  );
}

function allOf(tests: readonly DocumentTest[]): DocumentTest {
  const [first, second] = tests;
  if (first === undefined) return () => true;
  if (second === undefined) return first;
  return (document, details) => {
    for (const test of tests) if (!test(document, details)) return false;
    return true;
  };
}

function topLevel(operator: string, operand: unknown, options: FilterOptions): DocumentTest[] {
  switch (operator) {
    case '$and':
      return [allOf(branches(operator, operand, options))];
    case '$or': {
      const tests = branches(operator, operand, options);
      return [(document, details) => tests.some((test) => test(document, details))];
    }
    case '$nor': {
      const tests = branches(operator, operand, options);
      return [(document) => !tests.some((test) => test(document))];
    }
    case '$expr':
      return [compileCondition(operand, options)];
    case '$jsonSchema':
      return [compileJsonSchema(operand)];
    case '$comment':
      return [];
    case '$alwaysTrue':
    case '$alwaysFalse':
      return [() => operator === '$alwaysTrue'];
    case '$sampleRate': {
      const rate = toNumber(operand);
      if (rate === undefined || rate < 0 || rate > 1)
        throw badValue('numeric argument to $sampleRate must be in [0, 1]');
      return [() => Math.random() < rate];
    }
    case '$where':
      throw badValue('$where is not allowed: this server runs no JavaScript of its clients');
    case '$text':
      throw badValue('$text is not available: this server has no text indexes');
    default:
      throw badValue(`unknown top level operator: ${operator}`);
  }
}

function branches(operator: string, operand: unknown, options: FilterOptions): DocumentTest[] {
  if (!Array.isArray(operand)) throw badValue(`${operator} must be an array`);
  if (operand.length === 0) throw badValue('$and/$or/$nor must be a nonempty array');
  return operand.map((branch: unknown) => {
    if (!isDocument(branch)) throw badValue('$or/$and/$nor entries need to be full objects');
    return compileFilter(branch, options);
  });
}

function compileField(path: string, operand: unknown, options: FilterOptions): DocumentTest {
  return termTest(path, fieldTerm(path, operand, options));
}

function fieldTerm(path: string, operand: unknown, options: FilterOptions): Term {
  if (isRegex(operand)) return leafTerm(matching(operand));
  if (isDocument(operand) && isOperatorDocument(operand)) return operatorsTerm(path, operand, options);
  return leafTerm(equalTo(operand, options.strings));
}

/** Whether a field's operand holds operators; `{$ref, $id}` is a value. */
export function isOperatorDocument(operand: Document): boolean {
  const [first] = Object.keys(operand);
  return first?.startsWith('$') === true && !REFERENCE_FIELDS.has(first);
}

function termTest(path: string, term: Term): DocumentTest {
  if (term.kind === 'leaf') return testPath(path, term.leaf);
  if (term.kind === 'and') return allOf(term.terms.map((part) => termTest(path, part)));
  const negated = termTest(path, term.term);
  return (document) => !negated(document);
}

/** The term asked of one value, not of a path: how `$elemMatch` asks the elements of an array. */
function termOfValue(term: Term): (value: unknown) => boolean {
  if (term.kind === 'leaf') return (value) => term.leaf.test(value);
  if (term.kind === 'and') {
    const tests = term.terms.map(termOfValue);
    return (value) => tests.every((test) => test(value));
  }
  const negated = termOfValue(term.term);
  return (value) => !negated(value);
}

function operatorsTerm(path: string, operators: Document, options: FilterOptions): Term {
  if (operators['$options'] !== undefined && operators['$regex'] === undefined)
    throw badValue('$options needs a $regex');
  const terms = Object.entries(operators)
    .filter(([operator]) => operator !== '$options')
    .map(([operator, operand]: [string, unknown]) => operatorTerm(path, operator, operand, operators, options));
  const [only] = terms;
  return terms.length === 1 && only !== undefined ? only : { kind: 'and', terms };
}

function operatorTerm(
  path: string,
  operator: string,
  operand: unknown,
  siblings: Document,
  options: FilterOptions,
): Term {
  switch (operator) {
    case '$eq':
      return leafTerm(equalTo(operand, options.strings));
    case '$ne':
      if (isRegex(operand)) throw badValue("Can't have regex as arg to $ne.");
      return notTerm(leafTerm(equalTo(operand, options.strings)));
    case '$gt':
    case '$gte':
    case '$lt':
    case '$lte':
      return leafTerm(ordered(operator, operand, path, options.strings));
    case '$in':
      return leafTerm(anyOf(operand, options.strings));
    case '$nin':
      if (!Array.isArray(operand)) throw badValue('$nin needs an array');
      return notTerm(leafTerm(anyOf(operand, options.strings)));
    case '$exists':
      return isTruthy(operand) ? leafTerm(present) : notTerm(leafTerm(present));
    case '$type':
      return leafTerm(ofType(operand));
    case '$size':
      return leafTerm(ofSize(operand));
    case '$mod':
      return leafTerm(modulo(operand));
    case '$regex':
      return leafTerm(regexOperator(operand, siblings['$options']));
    case '$not':
      return notTerm(notOperand(path, operand, options));
    case '$all':
      return allTerm(path, operand, options);
    case '$elemMatch':
      return leafTerm(elementMatch(path, operand, options));
    case '$near':
    case '$nearSphere':
    case '$geoWithin':
    case '$geoIntersects':
    case '$within':
      throw badValue(`${operator} is not available: this server has no geospatial indexes`);
    default:
      if (BIT_OPERATORS.has(operator)) return leafTerm(bitTest(operator, operand));
      throw badValue(`unknown operator: ${operator}`);
  }
}

/** The truth of an option value: everything but false, null and zero. */
function isTruthy(value: unknown): boolean {
  return value !== false && value !== null && value !== undefined && toNumber(value) !== 0;
}

function regexOperator(pattern: unknown, regexOptions: unknown): Leaf {
  if (typeof pattern !== 'string' && !isRegex(pattern)) throw badValue('$regex has to be a string');
  if (regexOptions === undefined) return matching(pattern);
  if (typeof regexOptions !== 'string') throw badValue('$options has to be a string');
  return matching(pattern, regexOptions);
}

function notOperand(path: string, operand: unknown, options: FilterOptions): Term {
  if (isRegex(operand)) return leafTerm(matching(operand));
  if (!isDocument(operand)) throw badValue('$not needs a regex or a document');
  if (Object.keys(operand).length === 0) throw badValue('$not cannot be empty');
  return operatorsTerm(path, operand, options);
}

function allTerm(path: string, operand: unknown, options: FilterOptions): Term {
  if (!Array.isArray(operand)) throw badValue('$all needs an array');
  if (operand.length === 0) return leafTerm({ test: () => false, throughArray: false });
  const terms = operand.map((item: unknown): Term => {
    if (isDocument(item) && Object.keys(item)[0] === '$elemMatch') {
      return leafTerm(elementMatch(path, item['$elemMatch'], options));
    }
    if (isDocument(item) && isOperatorDocument(item)) throw badValue('no $ expressions in $all');
    return fieldTerm(path, item, options);
  });
  return { kind: 'and', terms };
}

const LOGICAL: ReadonlySet<string> = new Set(['$and', '$or', '$nor', '$where', '$expr', '$jsonSchema']);

function elementMatch(path: string, operand: unknown, options: FilterOptions): Leaf {
  if (!isDocument(operand)) throw badValue(`$elemMatch needs an Object, but is ${typeName(operand)}`);
  const [first] = Object.keys(operand);
  const asksValue = isOperatorDocument(operand) && first !== undefined && !LOGICAL.has(first);
  const matches = asksValue ? termOfValue(operatorsTerm(path, operand, options)) : asksDocument(operand, options);
  const test = (value: unknown, details?: MatchDetails): boolean => {
    if (!Array.isArray(value)) return false;
    const index = value.findIndex(matches);
    if (index >= 0 && details !== undefined) details.index = index;
    return index >= 0;
  };
  return { test, throughArray: false };
}

function asksDocument(filter: Document, options: FilterOptions): (value: unknown) => boolean {
  const test = compileFilter(filter, options);
  // An array as an element is asked as a document whose fields are its indexes.
  return (value) => (isDocument(value) && test(value)) || (Array.isArray(value) && test({ ...value }));
}
