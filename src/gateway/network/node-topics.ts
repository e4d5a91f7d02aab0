/** The first byte of a message in one fragment: the final one, with its opcode (RFC 6455, 5.2). */
const FIRST_BYTE = { text: 0x81, binary: 0x82 } as const;

/** A message as an unmasked frame. */
export function frameOf(message: string | ArrayBuffer, isBinary: boolean): Buffer {
  const payload = typeof message === 'string' ? Buffer.from(message) : Buffer.from(message);
  const { length } = payload;
  const header = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  header[0] = isBinary ? FIRST_BYTE.binary : FIRST_BYTE.text;
  header[1] = length < 126 ? length : length < 65_536 ? 126 : 127;
  if (header.length === 4) header.writeUInt16BE(length, 2);
  if (header.length === 10) header.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([header, payload]);
}

/**
 * What one turn of the event loop published to a socket. Sockets that were sent the same share one batch, so that a
 * burst is joined once and costs each of them one write.
 */
export class PublishedBatch {
  readonly #before: PublishedBatch | null;
  readonly #frame: Buffer;
  #bytes: Buffer | null = null;
  /** This one and the last frame that was published to a socket of it. */
  #next: PublishedBatch | null = null;

  constructor(before: PublishedBatch | null, frame: Buffer) {
    this.#before = before;
    this.#frame = frame;
  }

  with(frame: Buffer): PublishedBatch {
    if (this.#next === null || this.#next.#frame !== frame) this.#next = new PublishedBatch(this, frame);
    return this.#next;
  }

  bytes(): Buffer {
    if (this.#bytes !== null) return this.#bytes;
    const frames: Buffer[] = [];
    for (let batch: PublishedBatch | null = this; batch !== null; batch = batch.#before) frames.push(batch.#frame);
    this.#bytes = frames.length === 1 ? this.#frame : Buffer.concat(frames.reverse());
    return this.#bytes;
  }
}

/** What a topic knows of a socket. */
export interface TopicMember {
  /** What this turn published to it and is not sent yet. */
  batch: PublishedBatch | null;
  flush(): void;
}

/** Topics as sets of sockets, and one encoded frame for all of them. */
export class Topics {
  readonly #members = new Map<string, Set<TopicMember>>();
  #waiting: TopicMember[] = [];

  join(topic: string, member: TopicMember): void {
    const members = this.#members.get(topic);
    if (members) members.add(member);
    else this.#members.set(topic, new Set([member]));
  }

  leave(topic: string, member: TopicMember): void {
    const members = this.#members.get(topic);
    if (members?.delete(member) && members.size === 0) this.#members.delete(topic);
  }

  /** Encodes once; what is published in one turn of the event loop goes out at its end. */
  publish(topic: string, text: string): void {
    const members = this.#members.get(topic);
    if (members === undefined) return;
    const frame = frameOf(text, false);
    let first: PublishedBatch | null = null;
    for (const member of members) {
      if (member.batch !== null) {
        member.batch = member.batch.with(frame);
        continue;
      }
      first ??= new PublishedBatch(null, frame);
      member.batch = first;
      if (this.#waiting.length === 0) setImmediate(() => this.#flush());
      this.#waiting.push(member);
    }
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const member of waiting) member.flush();
  }
}
