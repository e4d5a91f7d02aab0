import { type Document, serialize } from 'bson';

/** A list of documents that are already raw BSON: they go into the reply as they are stored, byte by byte. */
export interface RawBatch {
  readonly rawBatch: readonly Uint8Array[];
}

/** A document that is already raw BSON. */
export interface RawDocument {
  readonly rawDocument: Uint8Array;
}

function isRawBatch(value: unknown): value is RawBatch {
  return typeof value === 'object' && value !== null && 'rawBatch' in value;
}

function isRawDocument(value: unknown): value is RawDocument {
  return typeof value === 'object' && value !== null && 'rawDocument' in value;
}

function isCursor(value: unknown): value is Document {
  return typeof value === 'object' && value !== null && ('firstBatch' in value || 'nextBatch' in value);
}

function elementHead(type: number, name: string): Buffer {
  const head = Buffer.allocUnsafe(Buffer.byteLength(name) + 2);
  head[0] = type;
  head.write(name, 1);
  head[head.length - 1] = 0;
  return head;
}

/** Array index names are asked for over and over: "0", "1", ... as element heads of type document. */
const indexHeads: Buffer[] = [];
const KEPT_HEADS = 20_000;

function indexHead(index: number): Buffer {
  const known = indexHeads[index];
  if (known !== undefined) return known;
  const head = elementHead(0x03, String(index));
  if (index === indexHeads.length && index < KEPT_HEADS) indexHeads.push(head);
  return head;
}

function sized(parts: Buffer[] | Uint8Array[], size: number): Uint8Array[] {
  const length = Buffer.allocUnsafe(4);
  length.writeInt32LE(size + 5, 0);
  return [length, ...parts, Buffer.from([0])];
}

interface Collected {
  readonly parts: Uint8Array[];
  size: number;
}

function collect(into: Collected, part: Uint8Array): void {
  into.parts.push(part);
  into.size += part.length;
}

function batchParts(batch: readonly Uint8Array[]): Uint8Array[] {
  const into: Collected = { parts: [], size: 0 };
  batch.forEach((document, index) => {
    collect(into, indexHead(index));
    collect(into, document);
  });
  return sized(into.parts, into.size);
}

function documentParts(document: Document): Uint8Array[] {
  const into: Collected = { parts: [], size: 0 };
  let plain: Document = {};
  let isEmpty = true;
  const flush = () => {
    if (isEmpty) return;
    const bytes = serialize(plain, { ignoreUndefined: true });
    collect(into, bytes.subarray(4, bytes.length - 1));
    plain = {};
    isEmpty = true;
  };
  for (const [name, value] of Object.entries(document)) {
    if (isRawBatch(value)) {
      flush();
      collect(into, elementHead(0x04, name));
      for (const part of batchParts(value.rawBatch)) collect(into, part);
    } else if (isRawDocument(value)) {
      flush();
      collect(into, elementHead(0x03, name));
      collect(into, value.rawDocument);
    } else if (isCursor(value)) {
      flush();
      collect(into, elementHead(0x03, name));
      for (const part of documentParts(value)) collect(into, part);
    } else {
      plain[name] = value;
      isEmpty = false;
    }
  }
  flush();
  return sized(into.parts, into.size);
}

/** A reply as raw BSON; batches of stored documents are copied, not decoded and encoded again. */
export function encodeReply(reply: Document): Buffer {
  return Buffer.concat(documentParts(reply));
}
