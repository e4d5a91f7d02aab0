import { GatewayConfigError, type OpenServer } from './network.ts';

/** The libraries that the gateway can run on. */
export const NETWORKS = ['uws', 'node'] as const;
export type NetworkName = (typeof NETWORKS)[number];

/** `auto` takes uWebSockets.js where it loads. */
export const NETWORK_CHOICES = ['auto', ...NETWORKS] as const;
export type NetworkChoice = (typeof NETWORK_CHOICES)[number];

/** The library that a gateway runs on. */
interface ChosenNetwork {
  readonly name: NetworkName;
  readonly open: OpenServer;
  /** Why uWebSockets.js was wanted and is not what runs; null when it was not wanted, or runs. */
  readonly missing: string | null;
}

/** What running without uWebSockets.js costs, in words: the figures depend on the load. */
export const SPARE_COSTS =
  'node:http and ws serve instead: the same behaviour, with more CPU per message and more memory per connection';

/** The names of the libraries. */
export const NETWORK_NAMES: Readonly<Record<NetworkName, string>> = {
  uws: 'uWebSockets.js',
  node: 'node:http and ws',
};

/** What serves, for `/status`. */
export const NETWORK_WORDS: Readonly<Record<NetworkName, string>> = {
  uws: NETWORK_NAMES.uws,
  node: `uWebSockets.js is not used; ${SPARE_COSTS}`,
};

/** Where uWebSockets.js has a binary, for whoever lacks one. */
export const UWS_NEEDS =
  'It has binaries for Node 20 on Linux with glibc, for Node 22 to 25 with glibc 2.38 or later, for macOS and Windows, and none for Alpine.';

/** Loads uWebSockets.js; the reason, one line, where that fails. */
export async function loadUws(): Promise<OpenServer | string> {
  try {
    return (await import('./uws.ts')).openUwsServer;
  } catch (error) {
    // The package puts its own sentence first, and the system's reason in a line below.
    const lines = (error instanceof Error ? error.message : String(error)).split('\n').filter(Boolean);
    return lines.find((line) => line.startsWith('Error: ')) ?? lines[0] ?? '';
  }
}

const WORKS_AT_ONCE =
  "npx -y -p node@20 -c 'npm start' has it on any Linux with glibc, and NETWORK=auto runs without it.";

/** Loads the library. Rejects with GatewayConfigError when uWebSockets.js is demanded and does not load. */
export async function chooseNetwork(choice: NetworkChoice): Promise<ChosenNetwork> {
  const uws = choice === 'node' ? null : await loadUws();
  if (typeof uws === 'function') return { name: 'uws', open: uws, missing: null };
  if (choice === 'uws') {
    throw new GatewayConfigError(
      `NETWORK=uws, but uWebSockets.js does not load: ${uws}\n${UWS_NEEDS}\n${WORKS_AT_ONCE}`,
    );
  }
  const { openNodeServer } = await import('./node.ts');
  return { name: 'node', open: openNodeServer, missing: uws };
}
