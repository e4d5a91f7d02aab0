import { MongoClient } from 'mongodb';
import { frameOf } from '../../src/protocol/messages.ts';
import { ORIGIN, positionOf } from '../../src/protocol/position.ts';
import { messageOf, spinDocument } from '../harness/spin.ts';
import type { ContenderOptions } from './options.ts';

/** An event as every contender sends it. */
export interface Told {
  readonly topic: string;
  /** The JSON text of the message. */
  readonly text: string;
  /** The message, for those that encode by themselves. */
  readonly message: object;
}

/**
 * The change stream of the numbers as a user of the driver follows it: `watch` and an iterator. What one reply
 * brought comes within one turn of the event loop and is handed over together, so that whoever can send it together
 * does. Resolves when the stream stands.
 */
export async function watchNumbers(
  { uri, database }: ContenderOptions,
  take: (events: readonly Told[]) => void,
): Promise<void> {
  const client = new MongoClient(uri);
  await client.connect();
  const numbers = client.db(database).collection('roleta_numeros');
  const stream = numbers.watch([{ $match: { operationType: 'insert' } }], { batchSize: 1_000 });
  // Without a first call the stream is not opened, and what is inserted before it would not be seen.
  await stream.tryNext();
  let gathered: Told[] = [];
  const handOver = (): void => {
    const events = gathered;
    gathered = [];
    take(events);
  };
  const follow = async (): Promise<void> => {
    let count = 0;
    for await (const change of stream) {
      if (change.operationType !== 'insert') continue;
      const position = positionOf({ t: 0, i: ++count }, 0);
      const message = messageOf(spinDocument.parse(change.fullDocument), position, ORIGIN);
      if (gathered.length === 0) setImmediate(handOver);
      gathered.push({ topic: message.topic, text: frameOf(message).text, message });
    }
  };
  follow().catch((error: unknown) => {
    console.error(error);
    process.exit(1);
  });
}
