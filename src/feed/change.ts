import { Timestamp } from 'bson';
import { type ClusterTime, type Position, positionOf } from '../protocol/position.ts';
import { decodeDocument, isBinary, isObjectId, keyOf, wireIdOf } from '../roulette/bson-value.ts';
import type { UpdateDescription } from '../roulette/patch.ts';
import type { ReadFields } from '../roulette/source.ts';

/** A document as the driver decoded it. */
export type Fields = Readonly<Record<string, unknown>>;

export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The value if it is a document, else an empty one. */
export const fieldsOr = (value: unknown): Fields => (isFields(value) ? value : {});

/** `database.collection`. */
export type Namespace = string;

interface Placed {
  readonly position: Position;
  readonly time: ClusterTime;
  readonly ns: Namespace;
  /** When the database committed it, ms since 1970; null where it does not tell (servers before 6.0). */
  readonly wallTimeMs: number | null;
}

/** A change of one document. */
interface OfDocument extends Placed {
  /** Identity of its `_id` within its collection. */
  readonly key: string;
  /** Its `_id` as it is stored. */
  readonly id: unknown;
}

/** A change that says no more than its position, of each of these kinds. */
type Plain<K extends string> = K extends string ? Placed & { readonly kind: K } : never;

/** One change of the database, decoded and positioned. */
export type Change =
  | (OfDocument & { readonly kind: 'insert' | 'replace'; readonly document: Fields })
  | (OfDocument & { readonly kind: 'update'; readonly update: UpdateDescription })
  | (OfDocument & { readonly kind: 'delete' })
  /** The document was read at rest instead, later than the change; null when it was gone by then. */
  | (OfDocument & { readonly kind: 'reread'; readonly inserted: boolean; readonly document: Fields | null })
  | Plain<'drop' | 'drop_database' | 'invalidate' | 'other'>
  | (Placed & { readonly kind: 'rename'; readonly to: Namespace });

/** A change of one kind. */
export type ChangeOf<K extends Change['kind']> = Extract<Change, { readonly kind: K }>;

/** How an `_id` is named in a log line: as the wire writes it, cut where it is long. */
export const idText = (id: unknown): string => wireIdOf(id).slice(0, 100);

/** What a resume token says about its position. */
export interface TokenPlace {
  readonly time: ClusterTime;
  /** An event's own token, or a high-water mark: everything up to `time` was looked at. */
  readonly kind: 'event' | 'mark';
  /** Index of the operation within its clusterTime; 0 for a high-water mark. */
  readonly index: number;
}

/** KeyString integer codes: the type byte of a non-negative integer and how many bytes follow (value * 2). */
const INTEGER_BYTES: Readonly<Record<string, number>> = { '29': 0, '2B': 1, '2C': 2, '2D': 3, '2E': 4 };

const HEAD = /^82[0-9A-Fa-f]{16}/;
/** Version 1, an event, the only operation of its time: what follows the time in nearly every token of a 4.4. */
const ONLY_EVENT = '2B022C010029';

const HIGH_WATER_MARK = 0;
const EVENT = 128;

/**
 * Reads the `_data` of a change-stream resume token: KeyString of timestamp, token version, token type (from version 1
 * on) and operation index. The rest (UUID, document key) is not needed. Null for anything unexpected.
 */
export function decodeToken(data: unknown): TokenPlace | null {
  if (typeof data !== 'string' || !HEAD.test(data)) return null;
  const time = { t: Number.parseInt(data.slice(2, 10), 16), i: Number.parseInt(data.slice(10, 18), 16) };
  if (data.startsWith(ONLY_EVENT, 18)) return { time, kind: 'event', index: 0 };
  let at = 18;
  const integer = (): number | null => {
    const width = INTEGER_BYTES[data.slice(at, at + 2).toUpperCase()];
    if (width === undefined) return null;
    const digits = data.slice(at + 2, at + 2 + width * 2);
    if (digits.length !== width * 2) return null;
    at += 2 + width * 2;
    return width === 0 ? 0 : Number.parseInt(digits, 16) / 2;
  };
  const version = integer();
  if (version === null) return null;
  const type = version >= 1 ? integer() : EVENT;
  if (type !== HIGH_WATER_MARK && type !== EVENT) return null;
  const index = integer();
  if (index === null || !Number.isInteger(index) || index > 0xfffffe) return null;
  return { time, kind: type === EVENT ? 'event' : 'mark', index: type === EVENT ? index : 0 };
}

/** What the server sends does not have the form that this service knows: no retry mends that, and nothing is guessed. */
export class UnreadableStreamError extends Error {
  override readonly name = 'UnreadableStreamError';
}

/** Most changes are of the collection of the one before: its text is kept, since a new one is hashed anew each time. */
let lastNs = { db: '', coll: '', ns: '.' };

function nsOf(value: unknown): Namespace {
  const { db, coll } = fieldsOr(value);
  if (typeof db !== 'string') return '';
  if (typeof coll !== 'string') return db;
  if (db !== lastNs.db || coll !== lastNs.coll) lastNs = { db, coll, ns: `${db}.${coll}` };
  return lastNs.ns;
}

/** What an update says of the fields that are read; the others may be of any size and are let go here. */
function updateOf(value: unknown, { isRead }: Pick<ReadFields, 'isRead'>): UpdateDescription {
  const { updatedFields, removedFields, truncatedArrays } = fieldsOr(value);
  const truncated = Array.isArray(truncatedArrays) ? truncatedArrays : [];
  const removed: readonly unknown[] = Array.isArray(removedFields) ? removedFields : [];
  return {
    updatedFields: Object.fromEntries(Object.entries(fieldsOr(updatedFields)).filter(([field]) => isRead(field))),
    removedFields: removed.filter((field): field is string => typeof field === 'string' && isRead(field)),
    truncatedArrays: truncated.flatMap((entry) => {
      const { field, newSize } = fieldsOr(entry);
      return typeof field === 'string' && isRead(field) ? [{ field, newSize }] : [];
    }),
  };
}

/** Decodes one document of a reply by itself, field by field where need be; null when it is none. */
export function decodeReply(raw: unknown): Fields | null {
  if (raw instanceof Uint8Array) return decodeDocument(raw);
  return isFields(raw) ? raw : null;
}

/** Joins the fragments that `$changeStreamSplitLargeEvent` makes of one event; other events pass as they are. */
function createFragmentJoiner(): (event: Fields) => Fields | null {
  let parts: Fields[] = [];
  return (event) => {
    const split = event['splitEvent'];
    if (!isFields(split)) {
      if (parts.length > 0) parts = [];
      return event;
    }
    const fragment = Number(split['fragment']);
    // Fragments of an event that was cut off are dropped.
    if (fragment !== parts.length + 1) parts = [];
    if (fragment === parts.length + 1) parts.push(event);
    if (fragment !== Number(split['of']) || parts.length !== fragment) return null;
    // The first fragment's token stands for the event: all of them name the same place.
    const whole: Fields = Object.assign({}, ...parts, { _id: parts[0]?.['_id'] });
    parts = [];
    return whole;
  };
}

const isHeavy = (value: unknown): boolean =>
  isBinary(value) || (typeof value === 'object' && value !== null && !isObjectId(value) && !(value instanceof Date));

/** Whether what is kept of this event may be a view into the bytes of the whole reply. */
const isView = (event: Fields): boolean =>
  isHeavy(fieldsOr(event['documentKey'])['_id']) || isBinary(fieldsOr(event['fullDocument'])['roleta_id']);

/** Decodes an event; what of it may be kept does not keep the reply that it came in. */
function decodeEvent(raw: unknown): Fields | null {
  const event = decodeReply(raw);
  return event !== null && raw instanceof Uint8Array && isView(event) ? decodeReply(raw.slice()) : event;
}

function positionIn(event: Fields, time: ClusterTime): Position {
  const place = decodeToken(fieldsOr(event['_id'])['_data']);
  if (place === null || place.kind !== 'event' || place.time.t !== time.t || place.time.i !== time.i) {
    throw new UnreadableStreamError('the resume tokens of this MongoDB have a form that is not known here');
  }
  return positionOf(time, place.index);
}

/** A decoded event as a change. Written out, not spread: this is done for every change of the database. */
function changeOf(event: Fields, fields: Pick<ReadFields, 'isRead'>): Change {
  const { clusterTime, wallTime, operationType } = event;
  if (!(clusterTime instanceof Timestamp)) {
    throw new UnreadableStreamError('this MongoDB sent an event of its change stream without a clusterTime');
  }
  const time = { t: clusterTime.getHighBitsUnsigned(), i: clusterTime.getLowBitsUnsigned() };
  const position = positionIn(event, time);
  const ns = nsOf(event['ns']);
  const wallTimeMs = wallTime instanceof Date ? wallTime.getTime() : null;
  switch (operationType) {
    case 'rename':
      return { position, time, ns, wallTimeMs, kind: 'rename', to: nsOf(event['to']) };
    case 'drop':
      return { position, time, ns, wallTimeMs, kind: 'drop' };
    case 'dropDatabase':
      return { position, time, ns, wallTimeMs, kind: 'drop_database' };
    case 'invalidate':
      return { position, time, ns, wallTimeMs, kind: 'invalidate' };
    case 'insert':
    case 'replace':
    case 'update':
    case 'delete':
      break;
    default:
      return { position, time, ns, wallTimeMs, kind: 'other' };
  }
  const id = fieldsOr(event['documentKey'])['_id'];
  const key = keyOf(id);
  if (operationType === 'delete') return { position, time, ns, wallTimeMs, kind: 'delete', key, id };
  if (operationType === 'update') {
    const update = updateOf(event['updateDescription'], fields);
    return { position, time, ns, wallTimeMs, kind: 'update', key, id, update };
  }
  const document = fieldsOr(event['fullDocument']);
  return { position, time, ns, wallTimeMs, kind: operationType, key, id, document };
}

/**
 * A decoder of one stream's events, each by itself: an event that cannot be decoded costs that event. Null while
 * fragments of an event are missing. Throws UnreadableStreamError for what has no position: nothing after it would.
 */
export function createDecoder(fields: Pick<ReadFields, 'isRead'>): (raw: unknown) => Change | null {
  const join = createFragmentJoiner();
  return (raw) => {
    const event = decodeEvent(raw);
    if (event === null) throw new UnreadableStreamError('this MongoDB sent something else than an event');
    const whole = join(event);
    return whole === null ? null : changeOf(whole, fields);
  };
}
