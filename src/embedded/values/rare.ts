import type { ObjectId } from 'bson';

/** Values that BSON has and the `bson` package cannot keep: https://bsonspec.org/spec.html */

/** The deprecated type undefined (6), which is neither null nor an absent field. */
export class BsonUndefined {
  readonly _bsontype = 'BSONUndefined';
}

export const UNDEFINED = new BsonUndefined();

/** The deprecated DBPointer (12). The package's DBRef is a document to the server: `{$ref, $id}`. */
export class DbPointer {
  readonly _bsontype = 'DBPointer';
  readonly collection: string;
  readonly id: ObjectId;

  constructor(collection: string, id: ObjectId) {
    this.collection = collection;
    this.id = id;
  }
}

/** A date beyond the 8,640,000,000,000,000 ms on either side of 1970 that JavaScript knows; invalid as a Date. */
export class FarDate extends Date {
  readonly millis: bigint;

  constructor(millis: bigint) {
    super(Number.NaN);
    this.millis = millis;
  }
}

/** Milliseconds since 1970; a bigint only where a number would not be exact enough to be a date. */
export function dateMillis(date: Date): number | bigint {
  return date instanceof FarDate ? date.millis : date.getTime();
}
