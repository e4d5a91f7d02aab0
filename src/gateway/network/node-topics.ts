const OPCODE = { text: 1, binary: 2 } as const;
const FINAL_FRAGMENT = 0x80;

/** The header of an unmasked frame (RFC 6455, 5.2), before so many bytes of payload. */
function framed(opcode: number, bytes: number): { readonly frame: Buffer; readonly at: number } {
  const at = bytes < 126 ? 2 : bytes < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(at + bytes);
  frame[0] = FINAL_FRAGMENT | opcode;
  if (at === 2) frame[1] = bytes;
  else if (at === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(bytes, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(bytes), 2);
  }
  return { frame, at };
}

/** A text message as it crosses the wire. */
export function textFrame(text: string): Buffer {
  const { frame, at } = framed(OPCODE.text, Buffer.byteLength(text));
  frame.write(text, at, 'utf8');
  return frame;
}

/** Any message as it crosses the wire. */
export function frameOf(message: string | ArrayBuffer, isBinary: boolean): Buffer {
  const bytes = typeof message === 'string' ? Buffer.from(message) : new Uint8Array(message);
  const { frame, at } = framed(isBinary ? OPCODE.binary : OPCODE.text, bytes.length);
  frame.set(bytes, at);
  return frame;
}

/**
 * What one turn of the event loop published to a socket. Sockets that were sent the same share one batch, so that a
 * burst is joined once and costs each of them one write.
 */
export class Batch {
  readonly #before: Batch | null;
  readonly #frame: Buffer;
  #bytes: Buffer | null = null;
  /** The batch of this one and the last frame that was published to a socket of it. */
  #next: Batch | null = null;
  #nextFrame: Buffer | null = null;

  constructor(before: Batch | null, frame: Buffer) {
    this.#before = before;
    this.#frame = frame;
  }

  with(frame: Buffer): Batch {
    if (this.#next === null || this.#nextFrame !== frame) {
      this.#next = new Batch(this, frame);
      this.#nextFrame = frame;
    }
    return this.#next;
  }

  bytes(): Buffer {
    if (this.#bytes !== null) return this.#bytes;
    const frames: Buffer[] = [];
    for (let batch: Batch | null = this; batch !== null; batch = batch.#before) frames.push(batch.#frame);
    this.#bytes = frames.length === 1 ? this.#frame : Buffer.concat(frames.reverse());
    return this.#bytes;
  }
}

/** What a topic knows of a socket. */
export interface Member {
  /** What this turn published to it and is not sent yet. */
  batch: Batch | null;
  flush(): void;
}

/** Topics as sets of sockets, and one encoded frame for all of them. */
export class Topics {
  readonly #members = new Map<string, Set<Member>>();
  #waiting: Member[] = [];

  join(topic: string, member: Member): void {
    const members = this.#members.get(topic);
    if (members) members.add(member);
    else this.#members.set(topic, new Set([member]));
  }

  leave(topic: string, member: Member): void {
    const members = this.#members.get(topic);
    if (members?.delete(member) && members.size === 0) this.#members.delete(topic);
  }

  /** Encodes once; what is published in one turn of the event loop goes out at its end. */
  publish(topic: string, text: string): void {
    const members = this.#members.get(topic);
    if (members === undefined) return;
    const frame = textFrame(text);
    let first: Batch | null = null;
    for (const member of members) {
      if (member.batch !== null) {
        member.batch = member.batch.with(frame);
        continue;
      }
      first ??= new Batch(null, frame);
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
