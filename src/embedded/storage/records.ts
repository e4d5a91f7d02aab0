import { createPlaces } from './places.ts';

/**
 * The documents of a collection by record id, which is the order of insertion. Their bytes stand one after the other in
 * slabs of their own: a Buffer for each would cost more than a small document, and the small pieces that Node cuts from
 * shared memory keep all of that memory for as long as one of them is kept.
 */
export interface Records {
  readonly size: number;
  /** Bytes of the slabs, with what is free in them. */
  readonly heldBytes: number;
  has(id: number): boolean;
  /** A view of the document's bytes, which stay what they are when it is replaced or removed. */
  get(id: number): Buffer | undefined;
  keys(): IterableIterator<number>;
  [Symbol.iterator](): Generator<[number, Buffer], void>;
}

export interface StoredRecords extends Records {
  /** Keeps a copy. */
  set(id: number, raw: Buffer): void;
  delete(id: number): void;
}

const SLAB_BYTES = 1024 * 1024;
const FIRST_SLAB_BYTES = 4 * 1024;
/** A larger document has a slab to itself. */
const LARGE_BYTES = SLAB_BYTES / 8;
/** A slab of which less than this part is used is emptied. */
const LEAST_USE = 0.25;

interface Slab {
  readonly bytes: Buffer;
  readonly number: number;
  /** Where the next document goes. */
  end: number;
  used: number;
  /** Records that were put there, also some that are gone by now. */
  readonly ids: number[];
}

/** The memory of the documents. A place in it is the slab's number and the offset there, as one integer. */
function createSlabs() {
  const slabs = new Map<number, Slab>();
  const free: number[] = [];
  let lastSlab = 0;
  let heldBytes = 0;
  let current: Slab | undefined;

  const open = (size: number): Slab => {
    let number = free.pop();
    if (number === undefined) {
      number = lastSlab;
      lastSlab += 1;
    }
    const slab: Slab = { bytes: Buffer.allocUnsafeSlow(size), number, end: 0, used: 0, ids: [] };
    slabs.set(number, slab);
    heldBytes += size;
    return slab;
  };
  const fits = (length: number) => current !== undefined && current.end + length <= current.bytes.length;
  return {
    heldBytes: () => heldBytes,
    /** Where small documents go. */
    current: () => current,
    at: (place: number): Slab | undefined => slabs.get(Math.floor(place / SLAB_BYTES)),
    /** Keeps a copy. @returns its place */
    write(id: number, raw: Buffer): number {
      let slab = current;
      if (raw.length > LARGE_BYTES) slab = open(raw.length);
      else if (slab === undefined || !fits(raw.length)) {
        // Small collections stay small: each slab is as large as all before it.
        const size = Math.min(SLAB_BYTES, Math.max(FIRST_SLAB_BYTES, heldBytes, raw.length * 2));
        slab = open(2 ** Math.ceil(Math.log2(size)));
        current = slab;
      }
      const offset = slab.end;
      slab.bytes.set(raw, offset);
      slab.end += raw.length;
      slab.used += raw.length;
      slab.ids.push(id);
      return slab.number * SLAB_BYTES + offset;
    },
    isSparse: (slab: Slab): boolean =>
      slabs.get(slab.number) === slab && slab !== current && slab.used <= slab.bytes.length * LEAST_USE,
    /** Its number may be given to another. */
    drop(slab: Slab): void {
      slabs.delete(slab.number);
      free.push(slab.number);
      heldBytes -= slab.bytes.length;
    },
  };
}

const documentIn = (slab: Slab, place: number): Buffer => {
  const offset = place % SLAB_BYTES;
  return slab.bytes.subarray(offset, offset + slab.bytes.readInt32LE(offset));
};

export function createRecords(): StoredRecords {
  const places = createPlaces();
  const slabs = createSlabs();

  const get = (id: number): Buffer | undefined => {
    const place = places.get(id);
    const slab = place === undefined ? undefined : slabs.at(place);
    return place === undefined || slab === undefined ? undefined : documentIn(slab, place);
  };
  /** Keeps a copy. @returns the slab that was filled by it: what it had may be gone already, and is looked at by nobody else */
  const put = (id: number, raw: Buffer): Slab | undefined => {
    const before = slabs.current();
    places.set(id, slabs.write(id, raw));
    return before === slabs.current() ? undefined : before;
  };
  /** Moves what is left in a slab of which little is used. */
  const emptyWhenSparse = (slab: Slab): void => {
    if (!slabs.isSparse(slab)) return;
    const moving = new Map<number, Buffer>();
    for (const id of slab.ids) {
      const place = places.get(id);
      if (place !== undefined && slabs.at(place) === slab) moving.set(id, documentIn(slab, place));
    }
    slabs.drop(slab);
    const filled = [...moving].map(([id, raw]) => put(id, raw));
    for (const one of filled) if (one !== undefined) emptyWhenSparse(one);
  };
  /** What was at that place is not wanted any more. */
  const release = (place: number | undefined): void => {
    const slab = place === undefined ? undefined : slabs.at(place);
    if (place === undefined || slab === undefined) return;
    slab.used -= slab.bytes.readInt32LE(place % SLAB_BYTES);
    emptyWhenSparse(slab);
  };

  return {
    get size() {
      return places.size;
    },
    get heldBytes() {
      return slabs.heldBytes();
    },
    has: (id) => places.get(id) !== undefined,
    get,
    keys: () => places.ids(),
    *[Symbol.iterator]() {
      for (const id of places.ids()) {
        const raw = get(id);
        if (raw !== undefined) yield [id, raw];
      }
    },
    set(id, raw) {
      const before = places.get(id);
      const filled = put(id, raw);
      release(before);
      if (filled !== undefined) emptyWhenSparse(filled);
    },
    delete(id) {
      const before = places.get(id);
      places.delete(id);
      release(before);
    },
  };
}
