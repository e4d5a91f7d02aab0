import { GATEWAY_DEFAULTS, type GatewayOptions } from '../../src/gateway/options.ts';
import { type Gateway, type GatewayDeps, startGateway } from '../../src/gateway/server.ts';
import { type Log, logTo } from '../../src/log/log.ts';
import { createFakeFeed, type FakeFeed } from './fake-feed.ts';
import { TEST_NETWORK } from './network.ts';

/** A gateway on a free port with a feed that the test drives. */
export interface TestGateway {
  readonly gateway: Gateway;
  readonly feed: FakeFeed;
  readonly port: number;
  readonly url: string;
  /** Every line logged, as JSON. */
  readonly lines: readonly string[];
  /** Lets time pass for deadlines, rates and expiries, without waiting for it. */
  passSeconds(seconds: number): void;
}

/** A log that keeps its lines, as JSON. */
export function keepingLog(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  return { log: logTo((level, event, fields) => lines.push(JSON.stringify({ level, event, ...fields }))), lines };
}

/** Generous limits, so that a test meets only the one that it sets itself. */
export const ROOMY: Partial<GatewayOptions> = {
  port: 0,
  network: TEST_NETWORK,
  instance: 'test',
  sweepMs: 10,
  framesPerSecond: 10_000,
  frameBurst: 10_000,
  acceptsPerSecond: 0,
  acceptsPerSecondPerAddress: 0,
};

/** Starts one; the caller stops it. */
export async function startTestGateway(
  options: Partial<GatewayOptions> = {},
  { feed = createFakeFeed(), ...deps }: Partial<GatewayDeps> & { feed?: FakeFeed } = {},
): Promise<TestGateway> {
  const { log, lines } = keepingLog();
  let passedMs = 0;
  const gateway = await startGateway(
    { ...GATEWAY_DEFAULTS, ...ROOMY, ...options },
    {
      delivery: feed.delivery,
      routes: [],
      log,
      now: () => performance.now() + passedMs,
      clock: () => Date.now() + passedMs,
      ...deps,
    },
  );
  feed.connect(gateway.publish);
  return {
    gateway,
    feed,
    port: gateway.port,
    url: `127.0.0.1:${gateway.port}`,
    lines,
    passSeconds(seconds) {
      passedMs += seconds * 1000;
    },
  };
}
