import { z } from 'zod';
import { type Delivery, EVERYONE, type Frame, type Publish, type SubscriberLink } from '../protocol/delivery.ts';
import type { CloseCode } from '../protocol/errors.ts';
import { type Position, timeOf } from '../protocol/position.ts';
import { type Audiences, kindOf } from './audience.ts';
import { type AudienceKind, isEvent } from './labels.ts';
import type { Meter } from './meter.ts';

/** What only the feed knows, told as it happens. */
export interface FeedObserver {
  /**
   * The change at `position` is about to be published; `wallTimeMs` is when MongoDB committed it (`wallTime`, server 6.0
   * and later), ms since 1970. Where it is not told, the seconds of the position stand in.
   */
  committed(position: Position, wallTimeMs: number): void;
}

/** Times as this file needs them, so that tests can hold them. */
export interface MetricsClock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since 1970. */
  date(): number;
}

/**
 * Measures where the feed and the transports meet: both sides stay as they are. Everything here is synchronous and adds
 * nothing between a frame and its topic.
 */
export interface Seam {
  publish(inner: Publish): Publish;
  delivery(inner: Delivery): Delivery;
  readonly feedObserver: FeedObserver;
  totals(): SeamTotals;
}

/** What passed since the start. Plain numbers, since they are counted for every frame and read once in ten seconds. */
export interface SeamTotals {
  /** Frames, each once however many connections get it, by type. */
  readonly published: ReadonlyMap<string, number>;
  /** Frames times connections, and their bytes. */
  readonly deliveries: Readonly<Record<AudienceKind, number>>;
  readonly bytes: Readonly<Record<AudienceKind, number>>;
  readonly suspects: number;
  readonly snapshots: number;
}

/** The mark, as the encoder writes it; inside of a text its quotes would be escaped. */
const SUSPECT = '"suspeito":true';

const acknowledged = z.object({
  topics: z.array(z.object({ recovered: z.boolean(), reason: z.string().optional(), replayed: z.number().optional() })),
});

export function createSeam(meter: Meter, audiences: Audiences, clock: MetricsClock): Seam {
  const published = new Map<string, number>();
  const deliveries: Record<AudienceKind, number> = { table: 0, all: 0, everyone: 0 };
  const bytes: Record<AudienceKind, number> = { table: 0, all: 0, everyone: 0 };
  let suspects = 0;
  let snapshots = 0;
  let told: { readonly position: Position; readonly wallTimeMs: number } | null = null;

  const age = (position: Position): number => {
    const committedMs = told?.position === position ? told.wallTimeMs : timeOf(position).t * 1000;
    return Math.max(0, clock.date() - committedMs) / 1000;
  };

  const countOnce = (frame: Frame): void => {
    published.set(frame.type, (published.get(frame.type) ?? 0) + 1);
    if (!isEvent(frame.type) || frame.position === null) return;
    meter.observe('runcash_event_age_seconds', {}, age(frame.position));
    if (frame.type === 'new_number' && frame.text.includes(SUSPECT)) suspects += 1;
  };

  const countResults = (frame: Frame): void => {
    for (const { recovered, reason, replayed } of acknowledged.parse(JSON.parse(frame.text)).topics) {
      meter.add('runcash_recoveries_total', { result: recovered ? 'recovered' : (reason ?? '') });
      if (recovered) meter.observe('runcash_recovery_events', {}, replayed ?? 0);
    }
  };

  /** One per connection, with methods that all of them share: closures would cost an idle one more than all else. */
  class MeasuredLink implements SubscriberLink {
    readonly #link: SubscriberLink;

    constructor(link: SubscriberLink) {
      this.#link = link;
    }

    send(frame: Frame): boolean {
      if (frame.type === 'snapshot') snapshots += 1;
      else if (frame.type === 'subscribed') countResults(frame);
      return this.#link.send(frame);
    }

    join(topic: string): void {
      this.#link.join(topic);
      audiences.join(topic);
    }

    leave(topic: string): void {
      this.#link.leave(topic);
      audiences.leave(topic);
    }

    close(code: CloseCode, retryMs?: number): void {
      this.#link.close(code, retryMs);
    }
  }

  return {
    publish: (inner) => (topic, frame) => {
      // The copy for all tables, and an event to the one table's topic, are one frame.
      if (topic === frame.topic || topic === EVERYONE) countOnce(frame);
      const audience = kindOf(topic);
      const startedMs = clock.now();
      inner(topic, frame);
      meter.observe('runcash_publish_seconds', { audience }, (clock.now() - startedMs) / 1000);
      const connections = audiences.of(topic);
      if (connections === 0) return;
      deliveries[audience] += connections;
      bytes[audience] += connections * Buffer.byteLength(frame.text);
    },
    delivery: (inner) => ({
      standing: () => inner.standing(),
      open: (link, options) => inner.open(new MeasuredLink(link), options),
    }),
    feedObserver: {
      committed(position, wallTimeMs) {
        told = { position, wallTimeMs };
      },
    },
    totals: () => ({ published, deliveries, bytes, suspects, snapshots }),
  };
}
