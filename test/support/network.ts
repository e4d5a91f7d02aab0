import { NETWORK_CHOICES, type NetworkChoice } from '../../src/gateway/network/choose.ts';

function choiceOf(text: string): NetworkChoice {
  const choice = NETWORK_CHOICES.find((name) => name === text);
  if (choice === undefined) throw new RangeError(`TEST_NETWORK is one of ${NETWORK_CHOICES.join(', ')}, not "${text}"`);
  return choice;
}

/** The network library under every gateway that a test starts: `TEST_NETWORK=node` runs a suite on the spare one. */
export const TEST_NETWORK = choiceOf(process.env['TEST_NETWORK'] ?? 'auto');
