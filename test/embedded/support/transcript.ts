import { readFileSync } from 'node:fs';
import { type Document, EJSON } from 'bson';

export interface Step {
  readonly command: Document;
  readonly reply: Document;
  readonly save?: Readonly<Record<string, string>>;
  readonly note?: string;
}

export interface Scenario {
  readonly name: string;
  readonly db: string;
  readonly steps: readonly Step[];
}

/** The recorded conversation with a real server, values with their BSON types. */
export function readTranscript(): readonly Scenario[] {
  const text = readFileSync(new URL('../../data/mongod-transcript.json', import.meta.url), 'utf8');
  const transcript: Document = EJSON.parse(text, { relaxed: false });
  const scenarios: unknown = transcript['scenarios'];
  if (!isScenarios(scenarios)) throw new Error('mongod-transcript.json has no scenarios');
  return scenarios;
}

function isScenarios(value: unknown): value is readonly Scenario[] {
  return Array.isArray(value) && value.every((one) => typeof one?.name === 'string' && Array.isArray(one?.steps));
}

/** A value inside a document by a dotted path. */
export function valueAt(document: Document, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, part) => (isObject(value) ? Reflect.get(value, part) : undefined), document);
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

/** A command with the saved values in the place of their names. */
export function substituted(command: Document, saved: ReadonlyMap<string, unknown>): Document {
  return Object.fromEntries(Object.entries(command).map(([name, value]) => [name, substitute(value, saved)]));
}

function substitute(value: unknown, saved: ReadonlyMap<string, unknown>): unknown {
  if (typeof value === 'string' && value.startsWith('$$')) return saved.get(value.slice(2)) ?? value;
  if (Array.isArray(value)) return value.map((item: unknown) => substitute(item, saved));
  if (!isPlain(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, substitute(item, saved)]));
}

function isPlain(value: unknown): value is Document {
  return isObject(value) && Object.getPrototypeOf(value) === Object.prototype;
}

const VOLATILE_NAMES: ReadonlySet<string> = new Set([
  'hosts',
  'primary',
  'me',
  'connectionId',
  'localTime',
  'lastWriteDate',
  'majorityWriteDate',
  'errmsg',
  'signature',
  'counter',
  'quando',
]);

/** `_data` of a token: version, type and operation index stay, its times and UUIDs go. */
function maskToken(data: string): string {
  return `82+time ${data.slice(18).replace(/5A1004[0-9A-F]{32}/, '5A1004+uuid')}`;
}

/**
 * A reply with everything masked that differs from run to run, in canonical Extended JSON so that the types of
 * numbers count too.
 */
export function mask(reply: Document, command: Document): unknown {
  const isFailPoint = Object.hasOwn(command, 'configureFailPoint');
  const plain: unknown = JSON.parse(EJSON.stringify(reply, { relaxed: false }));
  return sortDrops(maskValue('', plain, isFailPoint));
}

function maskValue(name: string, value: unknown, isFailPoint: boolean): unknown {
  if (VOLATILE_NAMES.has(name) || (isFailPoint && name === 'count')) return `<${name}>`;
  if (name === '_data' && typeof value === 'string') return maskToken(value);
  if (Array.isArray(value)) return value.map((item: unknown) => maskValue(name, item, isFailPoint));
  if (!isPlain(value)) return value;
  if ('$timestamp' in value) return '<timestamp>';
  if ('$oid' in value) return '<ObjectId>';
  const binary: unknown = value['$binary'];
  if (isPlain(binary) && binary['subType'] === '04') return '<UUID>';
  const long: unknown = value['$numberLong'];
  if (typeof long === 'string' && /^(id|cursorsKilled)$/.test(name)) return long === '0' ? 'zero' : 'not zero';
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, maskValue(key, item, isFailPoint)]));
}

/** dropDatabase drops its collections in no order. */
function sortDrops(reply: unknown): unknown {
  if (!isPlain(reply)) return reply;
  const cursor: unknown = reply['cursor'];
  const batch: unknown = isPlain(cursor) ? cursor['nextBatch'] : undefined;
  if (!isPlain(cursor) || !Array.isArray(batch) || !batch.some((event) => event?.operationType === 'dropDatabase'))
    return reply;
  const order = (event: Document) => (event['operationType'] === 'drop' ? `0${event['ns']?.coll}` : '1');
  const sorted = [...batch].sort((a, b) => (order(a) < order(b) ? -1 : order(a) > order(b) ? 1 : 0));
  return { ...reply, cursor: { ...cursor, nextBatch: sorted } };
}
