import { Timestamp } from 'mongodb';
import { z } from 'zod';
import { type ClusterTime, type Position, positionOf } from '../protocol/position.ts';
import { keyOf } from '../roulette/identity.ts';
import type { UpdateDescription } from '../roulette/patch.ts';
import { decodeToken } from './token.ts';

/** A document as the driver decoded it. */
export type Fields = Readonly<Record<string, unknown>>;

/** `database.collection`. */
export type Namespace = string;

interface Placed {
  readonly position: Position;
  readonly time: ClusterTime;
  readonly ns: Namespace;
}

/** One change of the database, decoded and positioned. */
export type Change = Placed &
  (
    | { readonly kind: 'insert'; readonly key: string; readonly document: Fields }
    | { readonly kind: 'replace'; readonly key: string; readonly document: Fields }
    | { readonly kind: 'update'; readonly key: string; readonly update: UpdateDescription }
    | { readonly kind: 'delete'; readonly key: string }
    | { readonly kind: 'drop' }
    | { readonly kind: 'drop_database' }
    | { readonly kind: 'invalidate' }
    | { readonly kind: 'other' }
    | { readonly kind: 'rename'; readonly to: Namespace }
  );

const fields = z.record(z.string(), z.unknown());
const namespace = z.object({ db: z.string(), coll: z.string().optional() });
const changeDocument = z.object({
  _id: z.object({ _data: z.unknown() }),
  operationType: z.string(),
  clusterTime: z.instanceof(Timestamp),
  ns: namespace.optional(),
  to: namespace.optional(),
  documentKey: fields.optional(),
  fullDocument: fields.nullable().optional(),
  updateDescription: z
    .object({
      updatedFields: fields.nullable().optional(),
      removedFields: z.array(z.string()).nullable().optional(),
      truncatedArrays: z
        .array(z.object({ field: z.string(), newSize: z.number() }))
        .nullable()
        .optional(),
    })
    .optional(),
});

const nsOf = (value: z.infer<typeof namespace> | undefined): Namespace =>
  value === undefined ? '' : value.coll === undefined ? value.db : `${value.db}.${value.coll}`;

export interface ChangeDecoder {
  /**
   * Decodes a change document of the stream. Throws ZodError when the server sent something that is no change
   * document, which is a bug of one of the two and never data.
   */
  decode(raw: unknown): Change;
  /** True once a token did not decode: positions are counted since, and another instance may count differently. */
  readonly guessing: boolean;
}

/** A decoder that remembers just enough to count operations when a token cannot be read. */
export function createDecoder(): ChangeDecoder {
  let guessing = false;
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
    decode(raw) {
      const change = changeDocument.parse(raw);
      const time = { t: change.clusterTime.getHighBitsUnsigned(), i: change.clusterTime.getLowBitsUnsigned() };
      const position = positionOf(time, indexOf(change._id._data, time));
      const placed = { position, time, ns: nsOf(change.ns) };
      const key = keyOf(change.documentKey?.['_id']);
      switch (change.operationType) {
        case 'insert':
          return { ...placed, kind: 'insert', key, document: change.fullDocument ?? {} };
        case 'replace':
          return { ...placed, kind: 'replace', key, document: change.fullDocument ?? {} };
        case 'update':
          return {
            ...placed,
            kind: 'update',
            key,
            update: {
              updatedFields: change.updateDescription?.updatedFields ?? {},
              removedFields: change.updateDescription?.removedFields ?? [],
              truncatedArrays: change.updateDescription?.truncatedArrays ?? [],
            },
          };
        case 'delete':
          return { ...placed, kind: 'delete', key };
        case 'rename':
          return { ...placed, kind: 'rename', to: nsOf(change.to) };
        case 'drop':
          return { ...placed, kind: 'drop' };
        case 'dropDatabase':
          return { ...placed, kind: 'drop_database' };
        case 'invalidate':
          return { ...placed, kind: 'invalidate' };
        default:
          return { ...placed, kind: 'other' };
      }
    },
  };
}

/** A change of one kind. */
export type ChangeOf<K extends Change['kind']> = Extract<Change, { readonly kind: K }>;
