import { ClientError, type SubscriptionMessage } from './types.ts';

/** Messages that wait for a slow `for await`; more of them end the iteration with an error, since none is skipped. */
const MAX_WAITING = 10_000;

/** One running `for await` over a subscription. */
export interface Inbox {
  push(message: SubscriptionMessage): void;
  /** Ends the iteration after what is waiting; with an error, that is thrown last. */
  end(error?: ClientError): void;
  readonly iterator: AsyncIterator<SubscriptionMessage, undefined>;
}

type Step = IteratorResult<SubscriptionMessage, undefined>;
const DONE: Step = { done: true, value: undefined };

export function createInbox(left: (inbox: Inbox) => void): Inbox {
  const waiting: SubscriptionMessage[] = [];
  let asker: { resolve(step: Step): void; reject(error: ClientError): void } | null = null;
  let ended = false;
  let failure: ClientError | null = null;

  const inbox: Inbox = {
    push(message) {
      if (ended) return;
      if (asker) {
        asker.resolve({ done: false, value: message });
        asker = null;
      } else if (waiting.length < MAX_WAITING) {
        waiting.push(message);
      } else {
        inbox.end(new ClientError('overflow', `${MAX_WAITING} messages were not taken`));
      }
    },
    end(error) {
      if (ended) return;
      ended = true;
      failure = error ?? null;
      left(inbox);
      if (asker && failure) asker.reject(failure);
      else asker?.resolve(DONE);
      if (asker) failure = null;
      asker = null;
    },
    iterator: {
      next() {
        const message = waiting.shift();
        if (message) return Promise.resolve({ done: false, value: message });
        if (failure) {
          const error = failure;
          failure = null;
          return Promise.reject(error);
        }
        if (ended) return Promise.resolve(DONE);
        return new Promise((resolve, reject) => {
          asker = { resolve, reject };
        });
      },
      return() {
        waiting.length = 0;
        inbox.end();
        return Promise.resolve(DONE);
      },
    },
  };
  return inbox;
}
