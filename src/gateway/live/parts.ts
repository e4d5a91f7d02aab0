import type { Log } from '../../log/log.ts';
import type { Delivery } from '../../protocol/delivery.ts';
import type { Admission } from '../door/admission.ts';
import type { Arrivals } from '../door/arrival.ts';
import type { GatewayCounters } from '../door/counters.ts';
import type { Door } from '../door/door.ts';
import type { Authenticator } from '../door/jwt.ts';
import type { Sockets } from '../door/sockets.ts';
import type { GatewayOptions } from '../options.ts';
import type { Connections, Group, OpenResponse } from './connections.ts';
import type { Fanout } from './fanout.ts';
import type { ReplayBudget } from './replay-budget.ts';

/** What the three transports share. */
export interface GatewayParts {
  readonly options: GatewayOptions;
  readonly delivery: Delivery;
  readonly door: Door;
  readonly arrivals: Arrivals;
  /** The connections of plain HTTP. */
  readonly sockets: Sockets;
  readonly admission: Admission;
  /** Null when everybody may subscribe. */
  readonly authenticator: Authenticator | null;
  readonly connections: Connections;
  /** Of these, event streams and polls. */
  readonly responses: Group<OpenResponse>;
  readonly fanout: Fanout;
  readonly replayBudget: ReplayBudget;
  readonly counters: GatewayCounters;
  readonly log: Log;
  /** Monotonic milliseconds, for deadlines and rates. */
  now(): number;
  /** Milliseconds since 1970, for the expiry of tokens. */
  clock(): number;
  /** Records an exception that reached a network callback. */
  failure(where: string, error: unknown): void;
}
