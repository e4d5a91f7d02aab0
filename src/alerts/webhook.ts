import { createHmac } from 'node:crypto';
import pRetry from 'p-retry';
import type { Log } from '../log/log.ts';
import type { AlertMessage } from './message.ts';

/** Time as the delivery needs it, so that tests can hold it. */
export interface WebhookClock {
  /** Milliseconds since 1970. */
  date(): number;
  /** Resolves after `ms`, or at once when the signal aborts. */
  pause(ms: number, signal: AbortSignal): Promise<void>;
}

export interface WebhookOptions {
  readonly url: string;
  /** Signs every message; null sends them unsigned. */
  readonly secret: string | null;
  readonly clock: WebhookClock;
  /** The first pause between attempts, milliseconds; the others double. One second unless given. */
  readonly firstPauseMs?: number;
  readonly log: Log;
  /** Told how each message ended. */
  readonly ended: (result: 'delivered' | 'failed' | 'dropped') => void;
}

/** How one attempt went: the receiver's status, or why there is none. */
type PostAttempt =
  | { readonly kind: 'answer'; readonly status: number; readonly retryAfterMs: number | null }
  | { readonly kind: 'failure'; readonly words: string };

/** Delivers messages in their order, one at a time. */
interface Webhook {
  send(message: AlertMessage): void;
  /** Resolves when nothing is waiting or under way. */
  idle(): Promise<void>;
  /** Gives up what waits. */
  stop(): void;
}

const ATTEMPTS = 8;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;
const LONGEST_RETRY_AFTER_MS = 300_000;
const TIMEOUT_MS = 10_000;
/** Messages that wait for a receiver which is away; the oldest are dropped. */
const MAX_WAITING = 100;

/** The hex HMAC-SHA256 of `<timestamp>.<body>`, `timestamp` in seconds since 1970 as the header brings it. */
export const signatureOf = (secret: string, timestamp: string, body: string): string =>
  createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex');

/** Posts one message once, and waits for its answer no longer than the milliseconds given. Never rejects. */
export async function post(
  { url, secret, clock }: Pick<WebhookOptions, 'url' | 'secret' | 'clock'>,
  message: AlertMessage,
  signal: AbortSignal,
  timeoutMs = TIMEOUT_MS,
): Promise<PostAttempt> {
  const body = JSON.stringify(message);
  const timestamp = String(Math.floor(clock.date() / 1000));
  const headers: Record<string, string> = {
    'Content-Type': 'application/json',
    'User-Agent': `${message.service.replaceAll(' ', '-')}/${message.version}`,
    'X-RunCash-Id': message.id,
    'X-RunCash-Timestamp': timestamp,
  };
  if (secret !== null) headers['X-RunCash-Signature'] = `sha256=${signatureOf(secret, timestamp, body)}`;
  // By hand: on Node 20 AbortSignal.any holds its sources weakly, and a timeout that nobody else holds never comes.
  const ending = new AbortController();
  const end = (): void => ending.abort();
  const timer = setTimeout(() => ending.abort(new DOMException('no answer in time', 'TimeoutError')), timeoutMs);
  if (signal.aborted) end();
  signal.addEventListener('abort', end, { once: true });
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers,
      body,
      // A signed message goes where the operator said, and nowhere else.
      redirect: 'manual',
      signal: ending.signal,
    });
    await answer.body?.cancel();
    const seconds = Number(answer.headers.get('retry-after') ?? Number.NaN);
    const retryAfterMs = Number.isFinite(seconds)
      ? Math.min(LONGEST_RETRY_AFTER_MS, Math.max(0, seconds) * 1000)
      : null;
    return { kind: 'answer', status: answer.status, retryAfterMs };
  } catch (error) {
    return { kind: 'failure', words: wordsOf(error) };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
  }
}

/** Without the address: chat webhooks carry their secret in it. */
function wordsOf(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  if (cause instanceof Error && 'code' in cause && typeof cause.code === 'string') return cause.code;
  return error instanceof Error ? error.name : 'unknown';
}

/** An attempt that did not deliver. */
class Undelivered extends Error {
  readonly attempt: PostAttempt;

  constructor(attempt: PostAttempt) {
    super('not delivered');
    this.attempt = attempt;
  }

  /** A receiver that says no will say no again, unless it says that it is busy or broken. */
  get isFinal(): boolean {
    const { attempt } = this;
    return attempt.kind === 'answer' && attempt.status < 500 && attempt.status !== 408 && attempt.status !== 429;
  }

  /** How long the receiver asked to be left alone. */
  get askedMs(): number {
    return this.attempt.kind === 'answer' ? (this.attempt.retryAfterMs ?? 0) : 0;
  }
}

const isDelivered = (attempt: PostAttempt): boolean =>
  attempt.kind === 'answer' && attempt.status >= 200 && attempt.status < 300;

export function createWebhook(options: WebhookOptions): Webhook {
  const waiting: AlertMessage[] = [];
  const stopping = new AbortController();
  const { signal } = stopping;
  let running: Promise<void> | null = null;

  const attempt = async (message: AlertMessage): Promise<void> => {
    const result = await post(options, message, signal);
    if (!isDelivered(result)) throw new Undelivered(result);
  };

  const deliver = async (message: AlertMessage): Promise<void> => {
    let attempts = 0;
    try {
      await pRetry(() => attempt(message), {
        retries: ATTEMPTS - 1,
        minTimeout: options.firstPauseMs ?? FIRST_PAUSE_MS,
        maxTimeout: LONGEST_PAUSE_MS,
        randomize: true,
        unref: true,
        signal,
        async onFailedAttempt({ error, attemptNumber, retriesLeft }) {
          attempts = attemptNumber;
          const askedMs = error instanceof Undelivered && !error.isFinal && retriesLeft > 0 ? error.askedMs : 0;
          if (askedMs > 0) await options.clock.pause(askedMs, signal);
        },
        shouldRetry: ({ error }) => error instanceof Undelivered && !error.isFinal,
      });
      options.ended('delivered');
    } catch (error) {
      options.ended('failed');
      if (signal.aborted) return;
      const last = error instanceof Undelivered ? error.attempt : error;
      options.log.error('alert_undelivered', { id: message.id, attempts, last });
    }
  };

  const run = async (): Promise<void> => {
    for (let message = waiting.shift(); message !== undefined; message = waiting.shift()) await deliver(message);
    running = null;
  };

  return {
    send(message) {
      if (signal.aborted) return;
      waiting.push(message);
      if (waiting.length > MAX_WAITING) {
        waiting.shift();
        options.ended('dropped');
      }
      running ??= run();
    },
    idle: () => running ?? Promise.resolve(),
    stop() {
      waiting.length = 0;
      stopping.abort();
    },
  };
}
