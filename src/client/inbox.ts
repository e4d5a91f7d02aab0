import { MAX_WAITING } from './limits.ts';
import { ClientError, type SubscriptionMessage } from './types.ts';

/** Messages on their way to one `for await`. */
export interface Inbox {
  push(message: SubscriptionMessage): void;
  /** What waits is handed on first, then the error. */
  end(error?: ClientError): void;
  readonly iterator: AsyncIterator<SubscriptionMessage, undefined>;
}

/** `left` is called once, at the end. */
export function createInbox(left: () => void): Inbox {
  const waiting: SubscriptionMessage[] = [];
  let came = (): void => undefined;
  let ended = false;
  let failure: ClientError | undefined;

  async function* messages(): AsyncGenerator<SubscriptionMessage, undefined> {
    for (;;) {
      const message = waiting.shift();
      if (message) yield message;
      else if (failure) throw failure;
      else if (ended) return;
      else {
        await new Promise<void>((resolve) => {
          came = resolve;
        });
      }
    }
  }

  const iterator = messages();
  const inbox: Inbox = {
    push(message) {
      if (waiting.length < MAX_WAITING) waiting.push(message);
      else inbox.end(new ClientError('overflow', 'messages were not taken'));
      came();
    },
    end(error) {
      if (ended) return;
      ended = true;
      failure = error;
      left();
      came();
    },
    iterator: {
      next: () => iterator.next(),
      return() {
        waiting.length = 0;
        inbox.end();
        return iterator.return(undefined);
      },
    },
  };
  return inbox;
}
