import type { Binary, Document } from 'bson';
import { CommandError } from '../errors.ts';
import { keyString } from '../storage/keystring.ts';
import { type ClusterTime, toTimestamp } from './clock.ts';

/** 1 is what 4.4 writes; 2 (with the operation's type in it) is what 6.0 and later write. */
export type TokenVersion = 1 | 2;

const HIGH_WATER_MARK = 0;
const EVENT = 128;
const END = '04';

/** What a resume token says about the place of an event. */
export interface TokenFields {
  readonly clusterTime: ClusterTime;
  readonly version: number;
  readonly type: 'high-water mark' | 'event';
  readonly operationIndex: number;
  readonly fromInvalidate: boolean;
  /** All that follows, in hex: the collection's UUID and the event's identifier. */
  readonly rest: string;
}

function hex(...values: unknown[]): string {
  return Buffer.from(values.map(keyString).join(''), 'latin1').toString('hex').toUpperCase();
}

/** The token of "everything before this time": for the start of a stream and for idle ones. */
export function highWaterMark(time: ClusterTime, version: TokenVersion): string {
  return hex(toTimestamp(time), version, HIGH_WATER_MARK, 0, false) + (version === 2 ? '14' : '') + END;
}

/** What a token of an event holds, beside its time. */
export interface EventPlace {
  readonly clusterTime: ClusterTime;
  readonly operationIndex: number;
  readonly operationType: string;
  readonly uuid?: Binary | undefined;
  readonly documentKey?: Document | undefined;
  readonly fromInvalidate?: boolean;
}

/** The `_data` of an event's resume token, in the server's own format. */
export function eventToken(place: EventPlace, version: TokenVersion): string {
  const { clusterTime, operationIndex, uuid, documentKey, operationType, fromInvalidate = false } = place;
  let token = hex(toTimestamp(clusterTime), version, EVENT, operationIndex, fromInvalidate);
  if (version === 2) {
    token += hex(uuid ?? null);
    token += hex(documentKey === undefined ? { operationType } : { operationType, documentKey });
  } else {
    if (uuid !== undefined) token += hex(uuid);
    if (documentKey !== undefined) token += hex(documentKey);
  }
  return token + END;
}

function badToken(message: string): CommandError {
  return new CommandError(260, 'InvalidResumeToken', message);
}

/** Reads one KeyString integer (0 to 2^31) at a byte offset. */
function readInteger(bytes: Buffer, at: number): { readonly value: number; readonly next: number } {
  const type = bytes[at] ?? 0;
  if (type === 0x29) return { value: 0, next: at + 1 };
  const length = type - 0x2a;
  if (length < 1 || length > 5 || at + 1 + length > bytes.length) throw badToken('Bad resume token: not a number');
  return { value: bytes.readUIntBE(at + 1, length) / 2, next: at + 1 + length };
}

/**
 * Takes a token apart.
 *
 * @throws CommandError 9 FailedToParse when it is not hex, 260 InvalidResumeToken when it is not a token.
 */
export function parseToken(data: string): TokenFields {
  if (data.length === 0 || data.length % 2 !== 0 || !/^[0-9a-f]+$/i.test(data)) {
    throw new CommandError(9, 'FailedToParse', 'resume token string was not a valid hex string');
  }
  const bytes = Buffer.from(data, 'hex');
  if (bytes[0] !== 0x82 || bytes.length < 10) throw badToken('Resume token does not begin with a timestamp');
  const clusterTime = { t: bytes.readUInt32BE(1), i: bytes.readUInt32BE(5) };
  const version = readInteger(bytes, 9);
  if (version.value > 2) throw badToken('Invalid resume token: only supports version 0, 1, or 2');
  const type = version.value >= 1 ? readInteger(bytes, version.next) : { value: EVENT, next: version.next };
  if (type.value !== HIGH_WATER_MARK && type.value !== EVENT) throw badToken('Unknown resume token type');
  const index = readInteger(bytes, type.next);
  const flag = bytes[index.next];
  if (version.value >= 1 && flag !== 0x6e && flag !== 0x6f) throw badToken('Bad resume token: no invalidate flag');
  return {
    clusterTime,
    version: version.value,
    type: type.value === EVENT ? 'event' : 'high-water mark',
    operationIndex: index.value,
    fromInvalidate: flag === 0x6f,
    rest: bytes.toString('hex', index.next + 1).toUpperCase(),
  };
}
