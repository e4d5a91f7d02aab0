import { type Accumulator, deviation, extremeOf, merging, summation } from './accumulators.ts';
import type { OperatorCompiler } from './expression.ts';
import { compileArguments } from './expression-arguments.ts';

/** Accumulators as expressions: over their arguments, or over the elements when the only argument is an array. */
function over(create: () => Accumulator): OperatorCompiler {
  return (operand, scope, name) => {
    const items = compileArguments(operand, scope, name, 0, Number.POSITIVE_INFINITY);
    const [only] = items;
    return (environment) => {
      const accumulator = create();
      if (items.length === 1 && only !== undefined) {
        const value = only(environment);
        if (Array.isArray(value)) for (const item of value) accumulator.add(item);
        else accumulator.add(value);
      } else {
        for (const item of items) accumulator.add(item(environment));
      }
      return accumulator.result();
    };
  };
}

export const ACCUMULATING_OPERATORS: Readonly<Record<string, OperatorCompiler>> = {
  $sum: over(summation),
  $avg: over(() => {
    const sum = summation();
    return { add: sum.add, result: sum.mean };
  }),
  $min: over(() => extremeOf(1)),
  $max: over(() => extremeOf(-1)),
  $stdDevPop: over(() => deviation(false)),
  $stdDevSamp: over(() => deviation(true)),
  $mergeObjects: over(merging),
};
