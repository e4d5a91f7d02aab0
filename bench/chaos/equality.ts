import type { Message } from './follower.ts';
import { FAST, type Instance } from './instance.ts';

/** What one subscribe brought, up to its ack. */
export interface Answer {
  readonly texts: readonly string[];
  readonly recovered: boolean;
}

/** Asks for one topic and reads up to the ack. Rejects when the instance ends the connection. */
export function ask(instance: Instance, topic: string, after: string | null, epoch: string | null): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const texts: string[] = [];
    const wire = instance.connect(
      {
        frame(text) {
          const message: Message = JSON.parse(text);
          if (message['type'] !== 'subscribed') {
            texts.push(text);
            return;
          }
          const topics = Array.isArray(message['topics']) ? message['topics'] : [];
          wire.cut();
          resolve({ texts, recovered: topics[0]?.recovered === true });
        },
        closed: (code) => reject(new Error(`${topic} was closed with ${code}`)),
      },
      FAST,
    );
    const at = after === null ? {} : { after, ...(epoch === null ? {} : { epoch }) };
    wire.subscribe({ topics: [{ topic, history: 200, ...at }] });
  });
}

/** `prev` below the place asked from may be known to one instance and not to the other. */
const masked = (text: string, after: string): string => {
  const prev = /"prev":(?:"([0-9a-f]{22})"|null)/.exec(text);
  return prev === null || (prev[1] ?? '') > after ? text : text.replace(prev[0], '"prev":"-"');
};

/** A snapshot without the position, at which two instances may differ while nothing happens. */
const unplaced = (text: string): string => text.replace(/"position":"[0-9a-f]{22}"/, '"position":"-"');

export interface Comparison {
  /** Frames compared. */
  readonly compared: number;
  /** In words; empty when the instances agree. */
  readonly differences: readonly string[];
}

/**
 * Compares byte by byte what two quiet instances of the same epoch send: the snapshot of every topic, and the replay of
 * every topic from every one of these positions that both can replay from.
 */
export async function compare(
  a: Instance,
  b: Instance,
  topics: readonly string[],
  positions: readonly string[],
): Promise<Comparison> {
  const differences: string[] = [];
  let compared = 0;
  const differ = (topic: string, from: string, left: readonly string[], right: readonly string[]): void => {
    compared += left.length;
    const at = left.findIndex((text, index) => text !== right[index]);
    if (at < 0 && left.length === right.length) return;
    const place = at < 0 ? Math.min(left.length, right.length) : at;
    differences.push(`${topic} from ${from}, frame ${place}:\n  ${left[place] ?? 'none'}\n  ${right[place] ?? 'none'}`);
  };
  const epoch = a.feed.status().epoch;
  if (epoch !== b.feed.status().epoch) differences.push(`epochs ${epoch} and ${b.feed.status().epoch}`);
  for (const topic of topics) {
    const [left, right] = await Promise.all([ask(a, topic, null, null), ask(b, topic, null, null)]);
    differ(topic, 'a snapshot', left.texts.map(unplaced), right.texts.map(unplaced));
    for (const after of positions) {
      const [first, second] = await Promise.all([ask(a, topic, after, epoch), ask(b, topic, after, epoch)]);
      if (!first.recovered || !second.recovered) continue;
      const mask = (text: string): string => masked(text, after);
      differ(topic, after, first.texts.map(mask), second.texts.map(mask));
    }
  }
  return { compared, differences };
}
