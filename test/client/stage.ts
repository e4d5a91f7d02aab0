import { type Client, type ClientState, type ConnectOptions, connect } from '../../src/client/connect.ts';
import { createFakeFeed, type FakeFeed } from './fake-feed.ts';
import { createFakeNetwork, type FakeNetwork, type FakeNetworkOptions } from './fake-network.ts';
import { createVirtualClock, type VirtualClock } from './virtual-clock.ts';

export const SPEED = { id: '2010165', nome: 'Roulette' };
export const VIP = { id: '2010097', nome: 'VIP Roulette' };
export const VIP_TOO = { id: '2380117', nome: 'VIP Roulette' };

export interface Stage {
  readonly clock: VirtualClock;
  readonly feed: FakeFeed;
  readonly network: FakeNetwork;
  readonly client: Client;
  readonly states: ClientState[];
  readonly errors: Error[];
}

/** A client, a scripted server and a clock between them. `random` is constant unless given. */
export function createStage(
  options: ConnectOptions & { network?: FakeNetworkOptions; listenForErrors?: boolean } = {},
): Stage {
  const { network: networkOptions, listenForErrors = true, ...rest } = options;
  const clock = createVirtualClock();
  const feed = createFakeFeed(clock.now, [SPEED, VIP, VIP_TOO]);
  const network = createFakeNetwork(feed, clock, networkOptions);
  const client = connect('http://127.0.0.1:1', {
    clock,
    random: () => 0.5,
    transports: [network.transport],
    ...rest,
  });
  const states: ClientState[] = [];
  const errors: Error[] = [];
  client.listen('state', (state) => states.push(state));
  if (listenForErrors) client.listen('error', (error) => errors.push(error));
  return { clock, feed, network, client, states, errors };
}
