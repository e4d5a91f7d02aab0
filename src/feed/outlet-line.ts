/** The line to a replica. The calls are synchronous; none may throw. */
export interface OutletLink {
  send(message: string): void;
  /** Whether more can be sent now. Where it cannot, `OutletReplica.drained` is called when it can. */
  hasRoom(): boolean;
  close(): void;
}

/** Longest message of a copy, in characters. */
const MESSAGE_LENGTH = 256 * 1024;

/** Characters that may wait for a copy to be taken; beyond, its replica is cut off, and comes again. */
const MAX_WAITING = 256 * 1024 * 1024;

/** Joins lines into messages of about the same length. */
function* messagesOf(lines: Iterable<string>): Generator<string, void> {
  let message: string[] = [];
  let length = 0;
  for (const line of lines) {
    message.push(line);
    length += line.length;
    if (length < MESSAGE_LENGTH) continue;
    yield message.join('\n');
    message = [];
    length = 0;
  }
  if (message.length > 0) yield message.join('\n');
}

/** The line to one replica: a copy goes out as its peer takes it, however large it is, and what is sent meanwhile after it. */
export function createOutletLine(link: OutletLink) {
  /** A copy under way, and what was sent since, which may be another one. */
  const waiting: (string | Generator<string, void>)[] = [];
  let waitingLength = 0;

  const drained = (): void => {
    for (let [first] = waiting; first !== undefined && link.hasRoom(); [first] = waiting) {
      if (typeof first === 'string') {
        waiting.shift();
        waitingLength -= first.length;
        link.send(first);
        continue;
      }
      const { done, value } = first.next();
      if (done === true) waiting.shift();
      else link.send(value);
    }
  };

  return {
    /** There is room again. */
    drained,
    send(message: string): void {
      if (waiting.length === 0) {
        link.send(message);
        return;
      }
      waiting.push(message);
      waitingLength += message.length;
      if (waitingLength > MAX_WAITING) link.close();
    },
    /** The lines are read as they are sent. */
    copy(lines: Iterable<string>): void {
      waiting.push(messagesOf(lines));
      drained();
    },
    close(): void {
      waiting.length = 0;
      link.close();
    },
  };
}
export type OutletLine = ReturnType<typeof createOutletLine>;
