import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { crc32 } from 'node:zlib';

/** The data folder does not hold what this server writes, or is in use. */
export class DataFolderError extends Error {
  override readonly name = 'DataFolderError';
  /** FOLDER_IN_USE when another server has the folder, which may be about to end. */
  readonly code: 'FOLDER_IN_USE' | 'FOLDER_UNREADABLE';

  constructor(message: string, options: ErrorOptions & { readonly code?: 'FOLDER_IN_USE' } = {}) {
    super(message, options);
    this.code = options.code ?? 'FOLDER_UNREADABLE';
  }
}

/**
 * A frame is what one write puts into a file: whole records, and before them a mark, their length, the frame's own
 * offset in the file, and a checksum over all of it. The offset tells a frame from a copy of one inside a document.
 */
export const FRAME_HEAD_BYTES = 20;
const MARK = Buffer.from('RLf2', 'latin1');

/** The frame that holds these records, to be written at `position`. */
export function encodeFrame(records: readonly Uint8Array[], size: number, position: number): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEAD_BYTES + size);
  MARK.copy(frame, 0);
  frame.writeUInt32LE(size, 4);
  frame.writeUInt32LE(position % 2 ** 32, 8);
  frame.writeUInt32LE(Math.floor(position / 2 ** 32), 12);
  let at = FRAME_HEAD_BYTES;
  for (const record of records) {
    frame.set(record, at);
    at += record.length;
  }
  frame.writeUInt32LE(checksum(frame.subarray(0, 16), frame.subarray(FRAME_HEAD_BYTES)), 16);
  return frame;
}

function checksum(head: Buffer, records: Buffer): number {
  return crc32(records, crc32(head));
}

interface Reader {
  /** Bytes from `position`, fewer only at the file's end. What was given before is overwritten: memory is used again. */
  at(position: number, length: number): Buffer;
}

const READ_BYTES = 4 * 1024 * 1024;

function createReader(fd: number): Reader {
  let memory = Buffer.allocUnsafeSlow(READ_BYTES);
  let start = 0;
  let filled = 0;
  return {
    at(position, length) {
      if (position < start || position + length > start + filled) {
        if (length > memory.length) memory = Buffer.allocUnsafeSlow(length);
        start = position;
        filled = 0;
        for (let read = -1; read !== 0 && filled < memory.length; filled += read) {
          read = readSync(fd, memory, filled, memory.length - filled, position + filled);
        }
      }
      const from = position - start;
      return memory.subarray(from, Math.min(from + length, filled));
    },
  };
}

/** The records of the frame at `position`; undefined when there is no whole and unharmed one. */
function frameAt(reader: Reader, position: number): Buffer | undefined {
  const head = reader.at(position, FRAME_HEAD_BYTES);
  if (head.length < FRAME_HEAD_BYTES || !head.subarray(0, 4).equals(MARK)) return undefined;
  const size = head.readUInt32LE(4);
  if (head.readUInt32LE(8) + head.readUInt32LE(12) * 2 ** 32 !== position) return undefined;
  const kept = Buffer.from(head);
  const records = reader.at(position + FRAME_HEAD_BYTES, size);
  if (records.length < size) return undefined;
  return checksum(kept.subarray(0, 16), records) === kept.readUInt32LE(16) ? records : undefined;
}

/** Where the next whole frame stands after `position`. */
function nextFrame(reader: Reader, position: number): number | undefined {
  for (let from = position; ; ) {
    const chunk = reader.at(from, READ_BYTES);
    const found = chunk.indexOf(MARK);
    if (found >= 0) {
      if (frameAt(reader, from + found) !== undefined) return from + found;
      from += found + 1;
    } else if (chunk.length < READ_BYTES) return undefined;
    else from += chunk.length - MARK.length + 1;
  }
}

/** BSON documents that stand one after the other, as views. */
function* documentsIn(bytes: Buffer): Generator<Buffer, void> {
  for (let at = 0; at < bytes.length; ) {
    const size = bytes.readInt32LE(at);
    yield bytes.subarray(at, at + size);
    at += size;
  }
}

export interface FramesRead {
  /** The end of the last whole frame. */
  readonly end: number;
  /** What follows it is not zeros only. */
  readonly torn: boolean;
  /** Where the torn frame would have ended, as far as its head can be read. */
  readonly tornEnd: number;
  /** The file's length. */
  readonly size: number;
}

/** Whether the file holds nothing but zeros from there on. */
function isZero(reader: Reader, position: number): boolean {
  for (let from = position; ; from += READ_BYTES) {
    const chunk = reader.at(from, READ_BYTES);
    if (chunk.some((byte) => byte !== 0)) return false;
    if (chunk.length < READ_BYTES) return true;
  }
}

/**
 * Gives every record of a file to `each`, in order; its bytes are there for as long as the call. A frame that was torn by a crash was never acknowledged and is
 * passed over, when nothing follows it: a frame is written only when the one before it is durable.
 *
 * @throws DataFolderError when there is damage before the end, or the file is not one of this server
 */
export function readFrames(path: string, each: (record: Buffer) => void): FramesRead {
  const fd = openSync(path, 'r');
  try {
    const reader = createReader(fd);
    let end = 0;
    for (;;) {
      const records = frameAt(reader, end);
      if (records === undefined) break;
      for (const record of documentsIn(records)) each(record);
      end += FRAME_HEAD_BYTES + records.length;
    }
    const rest = Buffer.from(reader.at(end, FRAME_HEAD_BYTES));
    const start = rest.subarray(0, 4);
    if (end === 0 && !MARK.subarray(0, start.length).equals(start) && start.some((byte) => byte !== 0)) {
      throw new DataFolderError(`${path} is not a file of this server; it is left as it is`);
    }
    const torn = !isZero(reader, end);
    const next = torn ? nextFrame(reader, end + 1) : undefined;
    if (next !== undefined) {
      throw new DataFolderError(
        `${path} is damaged at byte ${end}, and what follows from byte ${next} on is not: this is no torn end. ` +
          'Restore the folder from a copy; nothing was changed',
      );
    }
    const hasHead = rest.length === FRAME_HEAD_BYTES && start.equals(MARK);
    const tornEnd = hasHead ? end + FRAME_HEAD_BYTES + rest.readUInt32LE(4) : end + rest.length;
    return { end, torn, tornEnd, size: fstatSync(fd).size };
  } finally {
    closeSync(fd);
  }
}
