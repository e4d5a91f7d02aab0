import type { Binary } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, failedToParse } from '../errors.ts';
import { keyString } from '../storage/key-string.ts';
import { decode } from '../values/bson.ts';
import { rawKey } from '../wire/raw.ts';
import type { ClusterTime } from './clock.ts';

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

const eightDigits = (value: number): string => value.toString(16).padStart(8, '0').toUpperCase();

/** KeyString's type byte of a timestamp, then its seconds and its ordinal. */
const timeHex = ({ t, i }: ClusterTime): string => `82${eightDigits(t)}${eightDigits(i)}`;

/** The token of "everything before this time": for the start of a stream and for idle ones. */
export function highWaterMark(time: ClusterTime, version: TokenVersion): string {
  return timeHex(time) + hex(version, HIGH_WATER_MARK, 0, false) + (version === 2 ? '14' : '') + END;
}

/** What a token of an event holds, beside its time. */
export interface EventPlace {
  readonly clusterTime: ClusterTime;
  readonly operationIndex: number;
  readonly operationType: string;
  readonly uuid?: Binary | undefined;
  /** The raw document whose `_id` is its key. */
  readonly document?: Buffer | undefined;
  readonly fromInvalidate?: boolean;
}

/** What nearly every event has: one change, no invalidate. */
const FIRST: Readonly<Record<TokenVersion, string>> = { 1: hex(1, EVENT, 0, false), 2: hex(2, EVENT, 0, false) };

/** Collections hold their UUID as one object. */
const uuidHexes = new WeakMap<Binary, string>();

function uuidHex(uuid: Binary): string {
  const known = uuidHexes.get(uuid);
  if (known !== undefined) return known;
  const made = hex(uuid);
  uuidHexes.set(uuid, made);
  return made;
}

/** Type of the document, type and name of the field, type of the value; the end of the document. */
const OBJECT_ID_KEY = `4664${Buffer.from('_id\0').toString('hex').toUpperCase()}64`;
const KEY_END = '00';
const OBJECT_ID_TYPE = 7;
const ID_VALUE_AT = 4 + 1 + '_id'.length + 1;

function keyHex(document: Buffer): string {
  // Most keys are ObjectIds: their bytes are in the document as they are in the token.
  if (document[4] === OBJECT_ID_TYPE && document.toString('latin1', 5, ID_VALUE_AT) === '_id\0') {
    return OBJECT_ID_KEY + document.toString('hex', ID_VALUE_AT, ID_VALUE_AT + 12).toUpperCase() + KEY_END;
  }
  return hex(decode(rawKey(document)));
}

/** The `_data` of an event's resume token, in the server's own format. */
export function eventToken(place: EventPlace, version: TokenVersion): string {
  const { clusterTime, operationIndex, uuid, document, operationType, fromInvalidate = false } = place;
  const isFirst = operationIndex === 0 && !fromInvalidate;
  const token = timeHex(clusterTime) + (isFirst ? FIRST[version] : hex(version, EVENT, operationIndex, fromInvalidate));
  if (version === 2) {
    const key = document === undefined ? {} : { documentKey: decode(rawKey(document)) };
    return token + (uuid === undefined ? hex(null) : uuidHex(uuid)) + hex({ operationType, ...key }) + END;
  }
  return token + (uuid === undefined ? '' : uuidHex(uuid)) + (document === undefined ? '' : keyHex(document)) + END;
}

function badToken(message: string): CommandError {
  return new CommandError(CODES.InvalidResumeToken, message);
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
    throw failedToParse('resume token string was not a valid hex string');
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
