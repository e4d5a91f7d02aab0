import { type DeliveryObserver, EVERYONE, type Frame, type Publish } from '../protocol/delivery.ts';
import { ALL_TABLES } from '../protocol/topic.ts';
import type { AudienceKind } from './labels.ts';
import type { Meter } from './meter.ts';

/** Times as this file needs them, so that tests can hold them. */
export interface MetricsClock {
  /** Monotonic milliseconds. */
  now(): number;
  /** Milliseconds since 1970. */
  date(): number;
}

/**
 * Measures where the feed and the transports meet. Everything here is synchronous and adds nothing between a frame and
 * its topic; who hears what is asked, not counted again.
 */
export interface MeasuredDelivery {
  publish(inner: Publish): Publish;
  readonly observer: DeliveryObserver;
  totals(): DeliveryTotals;
}

/** What passed since the start. Plain numbers, since they are counted for every frame and read once in ten seconds. */
export interface DeliveryTotals {
  /** Frames, each once however many connections get it, by type. */
  readonly published: ReadonlyMap<string, number>;
  /** Frames times connections, and their bytes. */
  readonly deliveries: Readonly<Record<AudienceKind, number>>;
  readonly bytes: Readonly<Record<AudienceKind, number>>;
  readonly suspects: number;
  readonly snapshots: number;
}

const kindOf = (topic: string): AudienceKind =>
  topic === EVERYONE ? 'everyone' : topic === ALL_TABLES ? 'all' : 'table';

/** `hearing` tells how many connections hear a topic. */
export function measureDelivery(
  meter: Meter,
  hearing: (topic: string) => number,
  clock: MetricsClock,
): MeasuredDelivery {
  const published = new Map<string, number>();
  const deliveries: Record<AudienceKind, number> = { table: 0, all: 0, everyone: 0 };
  const bytes: Record<AudienceKind, number> = { table: 0, all: 0, everyone: 0 };
  let suspects = 0;
  let snapshots = 0;

  const countOnce = ({ type }: Frame): void => void published.set(type, (published.get(type) ?? 0) + 1);

  return {
    publish: (inner) => (topic, frame) => {
      // What goes to the topic of a table goes to that of all tables too.
      const isCopy = topic === ALL_TABLES && frame.topic !== ALL_TABLES && frame.type !== 'table_added';
      if (!isCopy) countOnce(frame);
      const audience = kindOf(topic);
      const startedMs = clock.now();
      inner(topic, frame);
      meter.observe('runcash_publish_seconds', { audience }, (clock.now() - startedMs) / 1000);
      const connections = hearing(topic);
      if (connections === 0) return;
      deliveries[audience] += connections;
      bytes[audience] += connections * Buffer.byteLength(frame.text);
    },
    observer: {
      publishing({ type, text }, committedMs) {
        meter.observe('runcash_event_age_seconds', {}, Math.max(0, clock.date() - committedMs) / 1000);
        // Inside a text the quotes would be escaped.
        if (type === 'new_number' && text.includes('"suspeito":true')) suspects += 1;
      },
      subscribed(results) {
        for (const result of results) {
          meter.add('runcash_recoveries_total', { result: result.recovered ? 'recovered' : result.reason });
          if (result.recovered) meter.observe('runcash_recovery_events', {}, result.replayed);
        }
      },
      snapshot() {
        snapshots += 1;
      },
    },
    totals: () => ({ published, deliveries, bytes, suspects, snapshots }),
  };
}
