import { HTTP_DEFAULTS } from '../../../src/gateway/http/options.ts';
import { httpRoutes } from '../../../src/gateway/http/routes.ts';
import { GATEWAY_DEFAULTS, type GatewayOptions } from '../../../src/gateway/options.ts';
import { startGateway } from '../../../src/gateway/server.ts';
import { logTo } from '../../../src/log/log.ts';
import { createFakeFeed } from '../../support/fake-feed.ts';
import { fakeDeps } from '../../support/http-deps.ts';
import { TEST_NETWORK } from '../../support/network.ts';
import { POURED, type ServerOrder, type ServerReport, STEADY } from './orders.ts';

/** A gateway with its default limits and the HTTP routes, over a feed that trickles; options come as JSON. */
const options: Partial<GatewayOptions> = JSON.parse(process.argv[2] ?? '{}');
const report = (message: ServerReport): void => void process.send?.(message);

const feed = createFakeFeed([...STEADY, POURED]);
const gateway = await startGateway(
  { ...GATEWAY_DEFAULTS, port: 0, network: TEST_NETWORK, ...options },
  {
    delivery: feed.delivery,
    routes: [httpRoutes(fakeDeps(), HTTP_DEFAULTS)],
    log: logTo((_level, event, fields) => console.log(JSON.stringify({ event, ...fields }))),
  },
);
feed.connect(gateway.publish);

let numero = 0;
setInterval(() => {
  for (const table of STEADY) feed.spin(table, numero++ % 37);
}, 25);
setInterval(() => feed.sync(), 1000);

let pouring: NodeJS.Timeout | null = null;
process.on('message', (message: ServerOrder) => {
  switch (message.order) {
    case 'counters':
      report({ report: 'counters', counters: gateway.counters(), rssBytes: process.memoryUsage.rss() });
      return;
    case 'pour':
      if (pouring !== null) clearInterval(pouring);
      pouring = null;
      if (message.perMs > 0) {
        pouring = setInterval(() => {
          for (let left = message.perMs * 5; left > 0; left -= 1) feed.spin(POURED, numero++ % 37);
        }, 5);
      }
      report({ report: 'poured' });
      return;
    default:
      message satisfies never;
  }
});
process.on('disconnect', () => process.exit(0));
report({ report: 'ready', port: gateway.port });
