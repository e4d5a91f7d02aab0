import type { ResetReason } from '../protocol/messages.ts';
import type { TableId } from '../roulette/table.ts';
import type { Progress } from './reading.ts';
import type { Timeline } from './timeline.ts';

/** The phase of the stream. */
export type Phase = 'connecting' | 'rewinding' | 'live' | 'degraded' | 'stopped';

/** What happens while the database is followed, one thing after the other. */
export type Step =
  /** The stream's phase, and why it is not live, in words. */
  | { readonly kind: 'phase'; readonly phase: Phase; readonly reason: string | null }
  | { readonly kind: 'connected'; readonly version: string }
  /** A fresh state begins; the former one must not be served any more. */
  | { readonly kind: 'fresh'; readonly reason: ResetReason; readonly words: string }
  /** A fresh state is complete: the stream is live, and this is served from now on, at the position of `progress`. */
  | { readonly kind: 'serving'; readonly timeline: Timeline; readonly progress: Pick<Progress, 'delivered'> }
  /** D moved. */
  | { readonly kind: 'advanced' }
  /** Tables that had lost too much were read again, and what came of it. */
  | { readonly kind: 'mended'; readonly tables: readonly TableId[]; readonly words: string }
  /** An event too large to be sent was passed. */
  | { readonly kind: 'oversized'; readonly ids: readonly string[] }
  /** The stream is opened again because of an error of this name. */
  | { readonly kind: 'reopened'; readonly name: string; readonly words: string };

/** Whoever follows the database, or another feed that does. */
export interface Follower {
  /** Follows the database until it is stopped. To be read once, and to its end. */
  steps(): AsyncGenerator<Step, void>;
  /** Closes the connection by force and opens a new one: for a stream that answers but does not move. */
  kick(reason: string): void;
  /** Ends the loop and its cursor; a server that does not answer is not waited for. */
  stop(): void;
}
