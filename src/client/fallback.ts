import type { Clock } from './clock.ts';
import { pollTransport } from './poll.ts';
import { sseTransport } from './sse.ts';
import type { FetchLike, Transport } from './transport.ts';

/** What is needed only where a WebSocket is not to be had. Loaded then, so that everybody else need not carry it. */
export { seekBetter } from './seek.ts';

export const fallbackTransport = (name: 'sse' | 'poll', clock: Clock, fetch?: FetchLike): Transport =>
  name === 'sse' ? sseTransport(fetch) : pollTransport(clock, fetch);
