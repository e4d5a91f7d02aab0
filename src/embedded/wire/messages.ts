import { CommandError } from '../errors.ts';
import { textOf } from '../values/text.ts';
import { checkRaw } from './raw.ts';

/** https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/ */
export const OP_REPLY = 1;
export const OP_QUERY = 2004;
export const OP_MSG = 2013;

export const HEADER_BYTES = 16;
/** `maxMessageSizeBytes` of hello. */
export const MAX_MESSAGE_BYTES = 48_000_000;
/** `maxBsonObjectSize` of hello. */
export const MAX_DOCUMENT_BYTES = 16 * 1024 * 1024;
/** Replies and oplog entries may exceed the document limit by this much, as in the server. */
export const INTERNAL_OVERHEAD_BYTES = 16 * 1024;

const CHECKSUM_PRESENT = 1;
export const MORE_TO_COME = 2;
const EXHAUST_ALLOWED = 1 << 16;
/** Bits 0-15 are required: an unknown one set there is an error. */
const KNOWN_REQUIRED_FLAGS = CHECKSUM_PRESENT | MORE_TO_COME;

/** What a client sent: one command, whichever opcode carried it. */
export interface WireRequest {
  readonly requestId: number;
  readonly opcode: typeof OP_MSG | typeof OP_QUERY;
  readonly body: Buffer;
  /** Document sequences of OP_MSG by their names. */
  readonly sequences: ReadonlyMap<string, readonly Buffer[]>;
  /** The database that an OP_QUERY names; OP_MSG says it in `$db`. */
  readonly queryDatabase?: string;
  /** The client wants no answer. */
  readonly moreToCome: boolean;
  readonly exhaustAllowed: boolean;
}

/** A message that breaks the protocol itself: the connection that sent it is closed. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

/** Parses one whole message (header included). @throws WireError */
export function parseMessage(message: Buffer): WireRequest {
  const requestId = message.readInt32LE(4);
  const opcode = message.readInt32LE(12);
  try {
    if (opcode === OP_MSG) return parseMsg(message, requestId);
    if (opcode === OP_QUERY) return parseQuery(message, requestId);
  } catch (cause) {
    if (cause instanceof CommandError || cause instanceof RangeError) throw new WireError(cause.message, { cause });
    throw cause;
  }
  throw new WireError(`unsupported opcode ${opcode}`);
}

function documentAt(message: Buffer, at: number, limit: number): Buffer {
  if (at + 5 > limit) throw new WireError('truncated document');
  const size = message.readInt32LE(at);
  if (size < 5 || at + size > limit) throw new WireError('document beyond its message');
  const document = message.subarray(at, at + size);
  checkRaw(document);
  return document;
}

function parseMsg(message: Buffer, requestId: number): WireRequest {
  if (message.length < HEADER_BYTES + 4) throw new WireError('truncated OP_MSG');
  const flags = message.readUInt32LE(HEADER_BYTES);
  if ((flags & 0xffff & ~KNOWN_REQUIRED_FLAGS) !== 0) throw new WireError(`unknown required flag bits ${flags}`);
  const limit = message.length - ((flags & CHECKSUM_PRESENT) === 0 ? 0 : 4);
  let at = HEADER_BYTES + 4;
  let body: Buffer | undefined;
  const sequences = new Map<string, Buffer[]>();
  while (at < limit) {
    const kind = message[at];
    at += 1;
    if (kind === 0) {
      if (body !== undefined) throw new WireError('two bodies in one message');
      body = documentAt(message, at, limit);
      at += body.length;
    } else if (kind === 1) at = parseSequence(message, at, limit, sequences);
    else throw new WireError(`unknown section kind ${kind}`);
  }
  if (body === undefined) throw new WireError('a message without a body');
  return {
    requestId,
    opcode: OP_MSG,
    body,
    sequences,
    moreToCome: (flags & MORE_TO_COME) !== 0,
    exhaustAllowed: (flags & EXHAUST_ALLOWED) !== 0,
  };
}

function parseSequence(message: Buffer, start: number, limit: number, sequences: Map<string, Buffer[]>): number {
  if (start + 4 > limit) throw new WireError('truncated section');
  const size = message.readInt32LE(start);
  const end = start + size;
  if (size < 5 || end > limit) throw new WireError('section beyond its message');
  const nameEnd = message.indexOf(0, start + 4);
  if (nameEnd < 0 || nameEnd >= end) throw new WireError('unterminated section name');
  const name = textOf(message, start + 4, nameEnd);
  if (sequences.has(name)) throw new WireError(`two sections named ${name}`);
  const documents: Buffer[] = [];
  for (let at = nameEnd + 1; at < end; ) {
    const document = documentAt(message, at, end);
    documents.push(document);
    at += document.length;
  }
  sequences.set(name, documents);
  return end;
}

function parseQuery(message: Buffer, requestId: number): WireRequest {
  const nameStart = HEADER_BYTES + 4;
  const nameEnd = message.indexOf(0, nameStart);
  if (nameEnd < 0) throw new WireError('unterminated collection name');
  const namespace = textOf(message, nameStart, nameEnd);
  if (!namespace.endsWith('.$cmd')) throw new WireError(`OP_QUERY is for commands only, not for ${namespace}`);
  return {
    requestId,
    opcode: OP_QUERY,
    body: documentAt(message, nameEnd + 9, message.length),
    sequences: new Map(),
    queryDatabase: namespace.slice(0, -'.$cmd'.length),
    moreToCome: false,
    exhaustAllowed: false,
  };
}
