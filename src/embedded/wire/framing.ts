import { HEADER_BYTES, MAX_MESSAGE_BYTES, WireError } from './messages.ts';

export interface Framing {
  /** Takes what the socket gave and returns the messages that are now whole. @throws WireError */
  push(chunk: Buffer): Buffer[];
  /** Bytes held back for a message that is not whole yet. */
  readonly heldBytes: number;
}

/**
 * Cuts a byte stream into messages. What it holds is bounded by the length that the message's header declares, which
 * is checked before a byte of the body is kept.
 */
export function createFraming(maxBytes: number = MAX_MESSAGE_BYTES): Framing {
  let chunks: Buffer[] = [];
  let held = 0;

  const declaredLength = (): number => {
    const first = chunks[0];
    if (first === undefined || held < 4) return 0;
    const head = first.length >= 4 ? first : Buffer.concat(chunks, held);
    if (head !== first) chunks = [head];
    const length = head.readInt32LE(0);
    if (length < HEADER_BYTES || length > maxBytes) throw new WireError(`bad message length ${length}`);
    return length;
  };

  return {
    push(chunk) {
      if (chunk.length === 0) return [];
      chunks.push(chunk);
      held += chunk.length;
      const messages: Buffer[] = [];
      for (let length = declaredLength(); length > 0 && held >= length; length = declaredLength()) {
        const joined = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, held);
        if (joined === undefined) break;
        messages.push(joined.subarray(0, length));
        const rest = joined.subarray(length);
        chunks = rest.length > 0 ? [rest] : [];
        held = rest.length;
      }
      return messages;
    },
    get heldBytes() {
      return held;
    },
  };
}
