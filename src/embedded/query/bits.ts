import { Binary } from 'bson';
import { badValue, failedToParse } from '../errors.ts';
import { bytesOf } from '../values/compare.ts';
import { numericValue, toNumber } from '../values/numbers.ts';
import type { Leaf } from './path.ts';

export const BIT_OPERATORS: ReadonlySet<string> = new Set([
  '$bitsAllSet',
  '$bitsAllClear',
  '$bitsAnySet',
  '$bitsAnyClear',
]);

type BitReader = (position: number) => boolean;

/** `$bitsAllSet` and its three relatives, on integers and binary data; the mask is a number, positions or binary. */
export function bitTest(operator: string, operand: unknown): Leaf {
  const positions = maskPositions(operator, operand);
  const wanted = operator.endsWith('Set');
  const all = operator.startsWith('$bitsAll');
  const test = (value: unknown): boolean => {
    const bit = bitReader(value);
    if (bit === undefined) return false;
    const holds = (position: number): boolean => bit(position) === wanted;
    return all ? positions.every(holds) : positions.some(holds);
  };
  return { test, throughArray: true };
}

function maskPositions(operator: string, operand: unknown): number[] {
  if (Array.isArray(operand)) {
    return operand.map((item: unknown) => {
      const position = toNumber(item);
      if (position === undefined || !Number.isInteger(position)) {
        throw badValue('Failed to parse bit position. Expected a number');
      }
      if (position < 0) throw badValue(`Failed to parse bit position. Expected a non-negative number in: ${position}`);
      return position;
    });
  }
  if (operand instanceof Binary || operand instanceof Uint8Array)
    return setPositions(operand, bytesOf(operand).bytes.length * 8);
  const number = toNumber(operand);
  if (number === undefined)
    throw badValue(`${operator} takes an Array, a number, or a BinData but received: ${String(operand)}`);
  if (!Number.isInteger(number)) throw failedToParse(`Failed to parse ${operator}. Expected an integer`);
  if (number < 0) throw failedToParse(`Failed to parse ${operator}. Expected a non-negative number`);
  return setPositions(operand, 64);
}

function setPositions(mask: unknown, length: number): number[] {
  const bit = bitReader(mask);
  const positions: number[] = [];
  for (let position = 0; position < length; position++) if (bit?.(position) === true) positions.push(position);
  return positions;
}

/** Integers are read as 64-bit two's complement, sign extended beyond; binary data as zero extended. */
function bitReader(value: unknown): BitReader | undefined {
  if (value instanceof Binary || value instanceof Uint8Array) {
    const { bytes } = bytesOf(value);
    return (position) => (((bytes[position >> 3] ?? 0) >> (position & 7)) & 1) === 1;
  }
  const numeric = numericValue(value);
  const number = typeof numeric === 'bigint' ? numeric : toNumber(value);
  if (number === undefined || (typeof number === 'number' && !Number.isInteger(number))) return undefined;
  const integer = BigInt(number);
  if (BigInt.asIntN(64, integer) !== integer) return undefined;
  return (position) => ((integer >> BigInt(Math.min(position, 63))) & 1n) === 1n;
}
