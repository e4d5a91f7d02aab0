import { createProbe } from './better-transport.ts';
import type { Clock } from './clock.ts';
import { oneWay } from './one-way.ts';
import { pollChannel } from './poll.ts';
import { sseChannel } from './sse.ts';
import type { FetchLike, Transport } from './transport.ts';

/**
 * What is needed only where a WebSocket is not to be had. Loaded then, so that everybody else need not carry it.
 * `better` is the transport to get back to, once it answers again.
 */
export const fallbackTransport = (
  name: 'sse' | 'poll',
  better: Transport | null,
  clock: Clock,
  random: () => number,
  fetch?: FetchLike,
): Transport =>
  oneWay(name, name === 'sse' ? sseChannel : pollChannel(clock), createProbe(better, clock, random), fetch);
