/** Keys per chunk: an insertion moves at most this many entries; 1,000,000 keys make about 4,000 chunks. */
const MAX_CHUNK = 512;

/** A string's head and its two places in a chunk. */
const KEY_OVERHEAD_BYTES = 40;

interface Chunk {
  readonly keys: string[];
  readonly ids: number[];
}

/**
 * An ordered multimap from key to record id, in chunks of sorted arrays. Keys carry their record id as a suffix where
 * they are not unique, so that every entry is found by binary search.
 */
export interface SortedKeys {
  readonly size: number;
  /** Memory that the keys take, about. */
  readonly bytes: number;
  insert(key: string, id: number): void;
  remove(key: string): boolean;
  get(key: string): number | undefined;
  /** The first entry at or above `low` (below `high`, exclusive, when given), in key order. */
  scan(low: string, high: string | undefined): Generator<KeyEntry, void>;
  /** The same from the high end downwards. */
  scanReverse(low: string, high: string | undefined): Generator<KeyEntry, void>;
}

export interface KeyEntry {
  readonly key: string;
  readonly id: number;
}

/** Index of the first key that is >= `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? '') < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Index of the first chunk whose last key is >= `key`; chunks.length when none is. */
function chunkFor(chunks: readonly Chunk[], key: string): number {
  let low = 0;
  let high = chunks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const keys = chunks[middle]?.keys;
    if (keys !== undefined && (keys[keys.length - 1] ?? '') < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function insertInto(chunks: Chunk[], key: string, id: number): void {
  const last = chunks.at(-1);
  let index = chunks.length - 1;
  if (last === undefined) {
    chunks.push({ keys: [key], ids: [id] });
    return;
  }
  let chunk = last;
  // Ascending keys (ObjectIds, times) always hit the end.
  if ((last.keys.at(-1) ?? '') < key) {
    chunk.keys.push(key);
    chunk.ids.push(id);
  } else {
    index = chunkFor(chunks, key);
    chunk = chunks[index] ?? last;
    const at = lowerBound(chunk.keys, key);
    chunk.keys.splice(at, 0, key);
    chunk.ids.splice(at, 0, id);
  }
  if (chunk.keys.length <= MAX_CHUNK) return;
  // Leaving a full chunk at the end full keeps memory tight.
  const at = chunk === last ? MAX_CHUNK : MAX_CHUNK >>> 1;
  chunks.splice(index + 1, 0, { keys: chunk.keys.splice(at), ids: chunk.ids.splice(at) });
}

// A scan finds its place again by key after each chunk and after each change, so it survives writes in between.
function* scan(chunks: readonly Chunk[], low: string, high: string | undefined): Generator<KeyEntry, void> {
  let from = low;
  let inclusive = true;
  for (;;) {
    const index = chunkFor(chunks, from);
    const chunk = chunks[index];
    if (chunk === undefined) return;
    let at = lowerBound(chunk.keys, from);
    if (!inclusive && chunk.keys[at] === from) at += 1;
    if (at >= chunk.keys.length) {
      // `from` was the chunk's last key: go on with the next chunk.
      const next = chunks[index + 1];
      if (next === undefined) return;
      from = next.keys[0] ?? '';
      inclusive = true;
      continue;
    }
    const keys = chunk.keys.slice(at);
    const ids = chunk.ids.slice(at);
    for (let i = 0; i < keys.length; i += 1) {
      const key = keys[i] ?? '';
      if (high !== undefined && key >= high) return;
      yield { key, id: ids[i] ?? 0 };
    }
    from = keys[keys.length - 1] ?? '';
    inclusive = false;
  }
}

function* scanReverse(chunks: readonly Chunk[], low: string, high: string | undefined): Generator<KeyEntry, void> {
  let below = high;
  for (;;) {
    let index = below === undefined ? chunks.length - 1 : Math.min(chunkFor(chunks, below), chunks.length - 1);
    let chunk = chunks[index];
    if (chunk === undefined) return;
    let end = below === undefined ? chunk.keys.length : lowerBound(chunk.keys, below);
    if (end === 0) {
      index -= 1;
      chunk = chunks[index];
      if (chunk === undefined) return;
      end = chunk.keys.length;
    }
    const keys = chunk.keys.slice(0, end);
    const ids = chunk.ids.slice(0, end);
    for (let i = keys.length - 1; i >= 0; i -= 1) {
      const key = keys[i] ?? '';
      if (key < low) return;
      yield { key, id: ids[i] ?? 0 };
    }
    below = keys[0];
  }
}

export function createSortedKeys(): SortedKeys {
  const chunks: Chunk[] = [];
  let size = 0;
  let bytes = 0;
  return {
    get size() {
      return size;
    },
    get bytes() {
      return bytes;
    },
    insert(key, id) {
      insertInto(chunks, key, id);
      size += 1;
      bytes += key.length + KEY_OVERHEAD_BYTES;
    },
    remove(key) {
      const index = chunkFor(chunks, key);
      const chunk = chunks[index];
      if (chunk === undefined) return false;
      const at = lowerBound(chunk.keys, key);
      if (chunk.keys[at] !== key) return false;
      chunk.keys.splice(at, 1);
      chunk.ids.splice(at, 1);
      size -= 1;
      bytes -= key.length + KEY_OVERHEAD_BYTES;
      if (chunk.keys.length === 0) chunks.splice(index, 1);
      return true;
    },
    get(key) {
      const chunk = chunks[chunkFor(chunks, key)];
      if (chunk === undefined) return undefined;
      const at = lowerBound(chunk.keys, key);
      return chunk.keys[at] === key ? chunk.ids[at] : undefined;
    },
    scan: (low, high) => scan(chunks, low, high),
    scanReverse: (low, high) => scanReverse(chunks, low, high),
  };
}
