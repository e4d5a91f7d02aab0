import { MAX_WAITING } from './limits.ts';
import { ClientError, type SubscriptionMessage } from './types.ts';

/** One running `for await` over a subscription. */
export interface Inbox {
  push(message: SubscriptionMessage): void;
  /** Ends the iteration after what is waiting; with an error, that is thrown last. */
  end(error?: ClientError): void;
  readonly iterator: AsyncIterator<SubscriptionMessage, undefined>;
}

type Step = Promise<IteratorResult<SubscriptionMessage, undefined>>;
const DONE: Step = Promise.resolve({ done: true, value: undefined });

export function createInbox(left: () => void): Inbox {
  const waiting: Step[] = [];
  let take: ((step: Step) => void) | null = null;
  let ended = false;

  const put = (step: Step): void => {
    if (take) take(step);
    else waiting.push(step);
    take = null;
  };

  const inbox: Inbox = {
    push(message) {
      if (waiting.length < MAX_WAITING) put(Promise.resolve({ value: message }));
      else inbox.end(new ClientError('overflow', `${MAX_WAITING} messages were not taken`));
    },
    end(error) {
      if (ended) return;
      ended = true;
      left();
      const last = error ? Promise.reject(error) : DONE;
      // That nobody takes the error is no error.
      last.catch(() => undefined);
      put(last);
    },
    iterator: {
      next: () =>
        waiting.shift() ??
        (ended
          ? DONE
          : new Promise((resolve) => {
              take = resolve;
            })),
      return() {
        inbox.end();
        waiting.length = 0;
        return DONE;
      },
    },
  };
  return inbox;
}
