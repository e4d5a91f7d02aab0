import { Double } from 'bson';
import { location } from '../errors.ts';
import { applyDecimal, toDecimal128 } from '../values/decimal.ts';
import { asDecimal, numericKind, toNumber } from '../values/numbers.ts';
import { typeName } from '../values/types.ts';
import type { OperatorCompiler } from './expression.ts';
import { binary, isNullish, unary, variadic } from './expression-arguments.ts';

/** @throws CommandError with `code` for what is no number */
export function requireNumber(value: unknown, name: string, code: number): void {
  if (numericKind(value) === undefined)
    throw location(code, `${name} only supports numeric types, not ${typeName(value)}`);
}

/** A function of real numbers: double, or decimal for a decimal argument, to 34 digits by `exact` and else to 15. */
function real(
  code: number,
  apply: (x: number) => number,
  domain?: { accepts: (x: number) => boolean; code: number; message: string },
  exact?: 'sqrt' | 'exp' | 'ln' | 'log10',
): OperatorCompiler {
  return unary((value, name) => {
    if (isNullish(value)) return null;
    requireNumber(value, name, code);
    const x = toNumber(value) ?? Number.NaN;
    if (domain !== undefined && !Number.isNaN(x) && !domain.accepts(x)) throw location(domain.code, domain.message);
    if (numericKind(value) !== 'decimal') return new Double(apply(x));
    return toDecimal128(exact === undefined ? asDecimal(new Double(apply(x))) : applyDecimal(asDecimal(value), exact));
  });
}

const positive = (code: number, name: string) => ({
  accepts: (x: number) => x > 0,
  code,
  message: `${name}'s argument must be a positive number`,
});

function within(
  name: string,
  least: number,
  most: number,
): { accepts: (x: number) => boolean; code: number; message: string } {
  return {
    accepts: (x) => x >= least && x <= most,
    code: 50989,
    message: `cannot apply ${name} to this value, it must be in [${least},${most}]`,
  };
}

const finiteOnly = (name: string) => ({
  accepts: Number.isFinite,
  code: 50989,
  message: `cannot apply ${name} to an infinite value`,
});

function logarithm(value: unknown, base: unknown): unknown {
  if (isNullish(value) || isNullish(base)) return null;
  if (numericKind(value) === undefined)
    throw location(28756, `$log's argument must be numeric, not ${typeName(value)}`);
  if (numericKind(base) === undefined) throw location(28757, `$log's base must be numeric, not ${typeName(base)}`);
  const [x, b] = [toNumber(value) ?? 0, toNumber(base) ?? 0];
  if (x <= 0) throw location(28758, `$log's argument must be a positive number, but is ${x}`);
  if (b <= 0 || b === 1) throw location(28759, `$log's base must be a positive number not equal to 1, but is ${b}`);
  return new Double(b === 2 ? Math.log2(x) : b === 10 ? Math.log10(x) : Math.log(x) / Math.log(b));
}

/** Functions of real numbers: roots, logarithms, trigonometry. */
export const REAL_OPERATORS: Readonly<Record<string, OperatorCompiler>> = {
  $sqrt: real(
    28765,
    Math.sqrt,
    { accepts: (x) => x >= 0, code: 28714, message: "$sqrt's argument must be greater than or equal to 0" },
    'sqrt',
  ),
  $exp: real(28765, Math.exp, undefined, 'exp'),
  $ln: real(28765, Math.log, positive(28766, '$ln'), 'ln'),
  $log10: real(28765, Math.log10, positive(28761, '$log10'), 'log10'),
  $log: binary(logarithm),
  $sin: real(28765, Math.sin, finiteOnly('$sin')),
  $cos: real(28765, Math.cos, finiteOnly('$cos')),
  $tan: real(28765, Math.tan, finiteOnly('$tan')),
  $asin: real(28765, Math.asin, within('$asin', -1, 1)),
  $acos: real(28765, Math.acos, within('$acos', -1, 1)),
  $atan: real(28765, Math.atan),
  $sinh: real(28765, Math.sinh),
  $cosh: real(28765, Math.cosh),
  $tanh: real(28765, Math.tanh),
  $asinh: real(28765, Math.asinh),
  $acosh: real(28765, Math.acosh, within('$acosh', 1, Number.POSITIVE_INFINITY)),
  $atanh: real(28765, Math.atanh, within('$atanh', -1, 1)),
  $degreesToRadians: real(28765, (x) => (x * Math.PI) / 180),
  $radiansToDegrees: real(28765, (x) => (x * 180) / Math.PI),
  $atan2: binary((y, x, name) => {
    if (isNullish(y) || isNullish(x)) return null;
    requireNumber(y, name, 51044);
    requireNumber(x, name, 51045);
    return new Double(Math.atan2(toNumber(y) ?? 0, toNumber(x) ?? 0));
  }),
  $rand: variadic(() => new Double(Math.random()), 0, 1),
};
