import { createHmac } from 'node:crypto';
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
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  /** Told how each message ended. */
  readonly ended: (result: 'delivered' | 'failed' | 'dropped') => void;
}

/** How one attempt went: the receiver's status, or why there is none. */
export type Attempt =
  | { readonly kind: 'answer'; readonly status: number; readonly retryAfterMs: number | null }
  | { readonly kind: 'failure'; readonly words: string };

/** Delivers messages in their order, one at a time. */
export interface Webhook {
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
): Promise<Attempt> {
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

const isDelivered = (attempt: Attempt): boolean =>
  attempt.kind === 'answer' && attempt.status >= 200 && attempt.status < 300;

/** A receiver that says no will say no again, unless it says that it is busy or broken. */
const isFinal = (attempt: Attempt): boolean =>
  attempt.kind === 'answer' && attempt.status < 500 && attempt.status !== 408 && attempt.status !== 429;

export function createWebhook(options: WebhookOptions): Webhook {
  const waiting: AlertMessage[] = [];
  const stopping = new AbortController();
  let running: Promise<void> | null = null;

  const pauseAfter = (attempt: Attempt, failures: number): number => {
    if (attempt.kind === 'answer' && attempt.retryAfterMs !== null) return attempt.retryAfterMs;
    const ceiling = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** failures);
    return ceiling / 2 + (options.random() * ceiling) / 2;
  };

  const deliver = async (message: AlertMessage): Promise<void> => {
    for (let failures = 0; ; ) {
      const attempt = await post(options, message, stopping.signal);
      if (isDelivered(attempt)) {
        options.ended('delivered');
        return;
      }
      failures += 1;
      const gone = stopping.signal.aborted;
      if (gone || isFinal(attempt) || failures === ATTEMPTS) {
        options.ended('failed');
        if (!gone) options.log.error('alert_undelivered', { id: message.id, attempts: failures, last: attempt });
        return;
      }
      await options.clock.pause(pauseAfter(attempt, failures - 1), stopping.signal);
    }
  };

  const run = async (): Promise<void> => {
    for (let message = waiting.shift(); message !== undefined; message = waiting.shift()) await deliver(message);
    running = null;
  };

  return {
    send(message) {
      if (stopping.signal.aborted) return;
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
