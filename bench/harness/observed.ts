import { z } from 'zod';
import { feedOptions, gatewayOptions } from '../../src/app/options.ts';
import { loadConfig } from '../../src/config/load.ts';
import { startFeed } from '../../src/feed/feed.ts';
import { KEPT, ROWS_KEPT } from '../../src/feed/table-state.ts';
import { type Gateway, startGateway } from '../../src/gateway/server.ts';
import { logTo } from '../../src/log/log.ts';
import { DEFAULT_SOURCES } from '../../src/roulette/source.ts';
import { readBase } from '../../src/store/base.ts';
import { nowUs } from './clock.ts';
import { SEQ_AT, SEQ_DIGITS } from './spin.ts';

/**
 * The service's feed and gateway joined as the service joins them, with a stamp before and after each publish, so that
 * the way of an event can be split. The stamps cost something: its figures are for the split only.
 */

const { config } = loadConfig(process.env);
const uri = config.MONGODB_URI;
if (uri === null) throw new Error('MONGODB_URI is needed');

const quiet = logTo((level, event) => (level === 'error' ? console.error(event) : undefined));
const published = new Map<number, readonly [beforeUs: number, afterUs: number]>();
let gateway: Gateway | null = null;

const feed = startFeed(feedOptions(config, uri), {
  log: quiet,
  publish(topic, frame) {
    const beforeUs = nowUs();
    gateway?.publish(topic, frame);
    if (frame.type !== 'new_number') return;
    const id = frame.text.indexOf('"id":"bench-') + '"id":"'.length;
    const seq = Number(frame.text.slice(id + SEQ_AT, id + SEQ_AT + SEQ_DIGITS));
    // Once for the table's topic and once for that of all tables: the first before, the last after.
    published.set(seq, [published.get(seq)?.[0] ?? beforeUs, nowUs()]);
  },
  readBase: (client, afterClusterTime, inserted) => {
    const database = client.db(config.MONGODB_DB_NAME);
    return readBase(
      { databases: { client, shared: database, tables: database, sources: DEFAULT_SOURCES } },
      { afterClusterTime, numbersPerTable: KEPT, rowsPerTable: ROWS_KEPT, known: inserted },
    );
  },
});
await feed.ready;
gateway = await startGateway(gatewayOptions(config, '0.0.0'), { delivery: feed, routes: [], log: quiet });
console.log(`listening ${gateway.port}`);

const asked = z.object({ collect: z.literal(true) });
process.on('message', (message) => {
  asked.parse(message);
  process.send?.({ published });
});
process.once('SIGTERM', () => process.exit(0));
process.on('disconnect', () => process.exit(0));
