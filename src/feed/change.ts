import { Timestamp } from 'mongodb';
import { type ClusterTime, type Position, positionOf } from '../protocol/position.ts';
import { keyOf } from '../roulette/identity.ts';
import type { UpdateDescription } from '../roulette/patch.ts';
import { type Fields, fieldsOr, isFields } from './fields.ts';
import { createFragmentJoiner } from './fragments.ts';
import { decodeToken } from './token.ts';

/** `database.collection`. */
export type Namespace = string;

interface Placed {
  readonly position: Position;
  readonly time: ClusterTime;
  readonly ns: Namespace;
  /** When the database committed it, ms since 1970; null where it does not tell (servers before 6.0). */
  readonly wallTimeMs: number | null;
}

/** One change of the database, decoded and positioned. */
export type Change = Placed &
  (
    | { readonly kind: 'insert'; readonly key: string; readonly document: Fields }
    | { readonly kind: 'replace'; readonly key: string; readonly document: Fields }
    | { readonly kind: 'update'; readonly key: string; readonly update: UpdateDescription }
    | { readonly kind: 'delete'; readonly key: string }
    /** Too large for the server to send; the document as it was read afterwards, null when it was gone by then. */
    | { readonly kind: 'oversized'; readonly key: string; readonly inserted: boolean; readonly document: Fields | null }
    | { readonly kind: 'drop' }
    | { readonly kind: 'drop_database' }
    | { readonly kind: 'invalidate' }
    | { readonly kind: 'other' }
    | { readonly kind: 'rename'; readonly to: Namespace }
  );

/** A change of one kind. */
export type ChangeOf<K extends Change['kind']> = Extract<Change, { readonly kind: K }>;

/** Most changes are of the collection of the one before: its text is kept, since a new one is hashed anew each time. */
let lastNs = { db: '', coll: '', ns: '.' };

function nsOf(value: unknown): Namespace {
  const { db, coll } = fieldsOr(value);
  if (typeof db !== 'string') return '';
  if (typeof coll !== 'string') return db;
  if (db !== lastNs.db || coll !== lastNs.coll) lastNs = { db, coll, ns: `${db}.${coll}` };
  return lastNs.ns;
}

const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((entry): entry is string => typeof entry === 'string') : [];

function updateOf(value: unknown): UpdateDescription {
  const { updatedFields, removedFields, truncatedArrays } = fieldsOr(value);
  const truncated = Array.isArray(truncatedArrays) ? truncatedArrays : [];
  return {
    updatedFields: fieldsOr(updatedFields),
    removedFields: texts(removedFields),
    truncatedArrays: truncated.flatMap((entry) => {
      const { field, newSize } = fieldsOr(entry);
      return typeof field === 'string' ? [{ field, newSize }] : [];
    }),
  };
}

export interface ChangeDecoder {
  /**
   * Decodes what the stream brought. Null while fragments of an event are missing, and for what is no change document,
   * which `isMalformed` then tells apart.
   */
  decode(raw: unknown): Change | null;
  /** True once a token did not decode: positions are counted since, and another instance may count differently. */
  readonly guessing: boolean;
  /** What came that was no change document at all. */
  readonly malformed: number;
}

/** A decoder that remembers just enough to join fragments, and to count operations when a token cannot be read. */
export function createDecoder(): ChangeDecoder {
  const joiner = createFragmentJoiner();
  let guessing = false;
  let malformed = 0;
  let lastTime = '';
  let count = 0;

  const indexOf = (token: unknown, time: ClusterTime): number => {
    const place = decodeToken(token);
    if (place !== null && place.kind === 'event' && place.time.t === time.t && place.time.i === time.i) {
      return place.index;
    }
    guessing = true;
    const key = `${time.t}/${time.i}`;
    count = key === lastTime ? count + 1 : 0;
    lastTime = key;
    return count;
  };

  return {
    get guessing() {
      return guessing;
    },
    get malformed() {
      return malformed;
    },
    decode(raw) {
      if (!isFields(raw)) {
        malformed++;
        return null;
      }
      const change = joiner.add(raw);
      if (change === null) return null;
      const clusterTime = change['clusterTime'];
      if (!(clusterTime instanceof Timestamp)) {
        malformed++;
        return null;
      }
      const time = { t: clusterTime.getHighBitsUnsigned(), i: clusterTime.getLowBitsUnsigned() };
      const position = positionOf(time, indexOf(fieldsOr(change['_id'])['_data'], time));
      const ns = nsOf(change['ns']);
      const wallTime = change['wallTime'];
      const wallTimeMs = wallTime instanceof Date ? wallTime.getTime() : null;
      const key = (): string => keyOf(fieldsOr(change['documentKey'])['_id']);
      // Written out each time: this is done for every change, and spreading a common part cost more than all the rest.
      switch (change['operationType']) {
        case 'insert':
          return {
            position,
            time,
            ns,
            wallTimeMs,
            kind: 'insert',
            key: key(),
            document: fieldsOr(change['fullDocument']),
          };
        case 'replace':
          return {
            position,
            time,
            ns,
            wallTimeMs,
            kind: 'replace',
            key: key(),
            document: fieldsOr(change['fullDocument']),
          };
        case 'update':
          return {
            position,
            time,
            ns,
            wallTimeMs,
            kind: 'update',
            key: key(),
            update: updateOf(change['updateDescription']),
          };
        case 'delete':
          return { position, time, ns, wallTimeMs, kind: 'delete', key: key() };
        case 'rename':
          return { position, time, ns, wallTimeMs, kind: 'rename', to: nsOf(change['to']) };
        case 'drop':
          return { position, time, ns, wallTimeMs, kind: 'drop' };
        case 'dropDatabase':
          return { position, time, ns, wallTimeMs, kind: 'drop_database' };
        case 'invalidate':
          return { position, time, ns, wallTimeMs, kind: 'invalidate' };
        default:
          return { position, time, ns, wallTimeMs, kind: 'other' };
      }
    },
  };
}
