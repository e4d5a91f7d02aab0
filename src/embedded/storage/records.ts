/**
 * The documents of a collection by record id, in the order of insertion. Their bytes stand one after the other in slabs
 * of their own: a Buffer for each would cost more than a small document, and the small pieces that Node cuts from
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
  /** Keeps a copy. @returns a view of it */
  set(id: number, raw: Buffer): Buffer;
  delete(id: number): void;
}

const SLAB_BYTES = 1024 * 1024;
const FIRST_SLAB_BYTES = 4 * 1024;
/** A larger document has a slab to itself. */
const LARGE_BYTES = SLAB_BYTES / 8;
/** A slab of which less than this part is used is emptied. */
const LEAST_USE = 0.25;

interface Slab {
  bytes: Buffer;
  readonly number: number;
  /** Where the next document goes. */
  end: number;
  used: number;
  /** Records that were put there, also some that are gone by now. */
  readonly ids: number[];
}

export function createRecords(): StoredRecords {
  /** The slab's number and the place in it, as one small integer for up to 2 GB. */
  const places = new Map<number, number>();
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
  const drop = (slab: Slab) => {
    slabs.delete(slab.number);
    free.push(slab.number);
    heldBytes -= slab.bytes.length;
    if (current === slab) current = undefined;
  };
  const slabFor = (length: number): Slab => {
    if (length > LARGE_BYTES) return open(length);
    if (current === undefined || current.end + length > current.bytes.length) {
      // Small collections stay small: each slab is as large as all before it.
      const size = Math.min(SLAB_BYTES, Math.max(FIRST_SLAB_BYTES, heldBytes, length * 2));
      const before = current;
      current = open(2 ** Math.ceil(Math.log2(size)));
      if (before !== undefined) emptyWhenSparse(before);
    }
    return current;
  };
  const slabOf = (place: number): Slab | undefined => slabs.get(Math.floor(place / SLAB_BYTES));
  const viewAt = (place: number): Buffer | undefined => {
    const slab = slabOf(place);
    if (slab === undefined) return undefined;
    const offset = place % SLAB_BYTES;
    return slab.bytes.subarray(offset, offset + slab.bytes.readInt32LE(offset));
  };
  const write = (id: number, raw: Buffer): Buffer => {
    const slab = slabFor(raw.length);
    const offset = slab.end;
    raw.copy(slab.bytes, offset);
    slab.end += raw.length;
    slab.used += raw.length;
    slab.ids.push(id);
    places.set(id, slab.number * SLAB_BYTES + offset);
    return slab.bytes.subarray(offset, slab.end);
  };
  const release = (slab: Slab | undefined, length: number) => {
    if (slab === undefined) return;
    slab.used -= length;
    if (slabs.get(slab.number) === slab) emptyWhenSparse(slab);
  };
  const emptyWhenSparse = (slab: Slab) => {
    if (slab === current || slab.used > slab.bytes.length * LEAST_USE) return;
    const moving = new Map<number, Buffer>();
    for (const id of slab.ids) {
      const place = places.get(id);
      const raw = place === undefined || slabOf(place) !== slab ? undefined : viewAt(place);
      if (raw !== undefined) moving.set(id, raw);
    }
    // Its number may be given to the slab that the rest goes to.
    drop(slab);
    for (const [id, raw] of moving) write(id, raw);
  };

  return {
    get size() {
      return places.size;
    },
    get heldBytes() {
      return heldBytes;
    },
    has: (id) => places.has(id),
    get(id) {
      const place = places.get(id);
      return place === undefined ? undefined : viewAt(place);
    },
    keys: () => places.keys(),
    *[Symbol.iterator]() {
      for (const [id, place] of places) {
        const raw = viewAt(place);
        if (raw !== undefined) yield [id, raw];
      }
    },
    set(id, raw) {
      const before = places.get(id);
      const slab = before === undefined ? undefined : slabOf(before);
      const length = before === undefined ? 0 : (viewAt(before)?.length ?? 0);
      const stored = write(id, raw);
      release(slab, length);
      return stored;
    },
    delete(id) {
      const place = places.get(id);
      if (place === undefined) return;
      const slab = slabOf(place);
      const length = viewAt(place)?.length ?? 0;
      places.delete(id);
      release(slab, length);
    },
  };
}
