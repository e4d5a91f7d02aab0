import type { Publish } from '../../protocol/delivery.ts';
import type { Frame } from '../../protocol/messages.ts';
import type { GatewayCounters } from '../door/counters.ts';
import type { NetworkApp } from '../network/network.ts';

/** A connection that uWebSockets' own topics cannot reach: an event stream or a poll. */
export interface TopicListener {
  deliver(frame: Frame): void;
}

/** Topics of the gateway: one call per topic, whatever carries the frame onwards. */
export interface Fanout {
  readonly publish: Publish;
  join(topic: string, listener: TopicListener): void;
  leave(topic: string, listener: TopicListener): void;
  /** Frames published to a topic so far: what a connection heard of it is the difference over its time there. */
  published(topic: string): number;
  /** The network is about to be closed: nothing is published from now on. */
  close(): void;
}

/**
 * `app` fans out to the WebSockets of a topic: uWebSockets.js does that in C++, once per topic, and copies the text first,
 * also for a topic that nobody hears. `hearing` tells how many connections of any transport do.
 */
export function createFanout(
  app: Pick<NetworkApp, 'publish'>,
  hearing: (topic: string) => number,
  counters: GatewayCounters,
): Fanout {
  const listeners = new Map<string, Set<TopicListener>>();
  const published = new Map<string, number>();
  let isClosed = false;
  return {
    publish(topic, frame) {
      if (isClosed) return;
      counters.publishedFrames += 1;
      published.set(topic, (published.get(topic) ?? 0) + 1);
      counters.publishedBytes += frame.text.length;
      if (hearing(topic) > 0) app.publish(topic, frame.text);
      for (const listener of listeners.get(topic) ?? []) listener.deliver(frame);
    },
    join(topic, listener) {
      const joined = listeners.get(topic);
      if (joined) joined.add(listener);
      else listeners.set(topic, new Set([listener]));
    },
    leave(topic, listener) {
      const joined = listeners.get(topic);
      joined?.delete(listener);
      if (joined?.size === 0) listeners.delete(topic);
    },
    published: (topic) => published.get(topic) ?? 0,
    close() {
      isClosed = true;
    },
  };
}
