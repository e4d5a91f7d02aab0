import type { CloseCode, ErrorCode } from '../../protocol/errors.ts';
import type { ClientFrame } from '../../protocol/requests.ts';
import type { NetworkName } from '../network/choose.ts';

export type TransportKind = 'websocket' | 'sse' | 'poll' | 'socketio';

/** Why a connection was not taken, or would not have been in a dry run. Closed list: these become metric labels. */
export type RefusalReason =
  | 'bad_request'
  | 'bad_host'
  | 'bad_origin'
  | 'bad_version'
  | 'headers'
  | 'not_ready'
  | 'draining'
  | 'capacity'
  | 'transport_capacity'
  | 'address_capacity'
  | 'accept_rate'
  | 'address_rate';

/** What the gateway runs on and did since it started, as plain numbers; labels are from closed lists, never from clients. */
export interface GatewayCounters {
  network: NetworkName;
  readonly open: Record<TransportKind, number>;
  readonly opened: Record<TransportKind, number>;
  readonly refused: Partial<Record<RefusalReason, number>>;
  /** Refusals and closes that a dry run let pass. */
  readonly passed: Partial<Record<RefusalReason | 'flood', number>>;
  /** Ends that this side decided, by close code. */
  readonly closes: Partial<Record<CloseCode, number>>;
  /** Ends for any reason, by transport. */
  readonly closed: Record<TransportKind, number>;
  readonly framesIn: Record<ClientFrame['type'], number>;
  readonly errors: Partial<Record<ErrorCode, number>>;
  /** Frames sent to one connection (snapshots, replays, answers), and their bytes. */
  directFrames: number;
  directBytes: number;
  /** Frames handed to a topic, once per topic however many connections get them, and their bytes. */
  publishedFrames: number;
  publishedBytes: number;
  /** Frames that uWebSockets dropped because the connection is being closed for its backlog. */
  droppedFrames: number;
  /** Pauses of replays: for a full socket, and for the budget that all share. */
  pausedForSocket: number;
  pausedForBudget: number;
  /** Exceptions that reached a network callback. Any is a defect. */
  failures: number;
  /** Forwarding headers from peers that are not trusted proxies. */
  untrustedForwards: number;
}

export function newCounters(network: NetworkName = 'uws'): GatewayCounters {
  return {
    network,
    open: { websocket: 0, sse: 0, poll: 0, socketio: 0 },
    opened: { websocket: 0, sse: 0, poll: 0, socketio: 0 },
    refused: {},
    passed: {},
    closes: {},
    closed: { websocket: 0, sse: 0, poll: 0, socketio: 0 },
    framesIn: { subscribe: 0, unsubscribe: 0, ping: 0, auth: 0 },
    errors: {},
    directFrames: 0,
    directBytes: 0,
    publishedFrames: 0,
    publishedBytes: 0,
    droppedFrames: 0,
    pausedForSocket: 0,
    pausedForBudget: 0,
    failures: 0,
    untrustedForwards: 0,
  };
}

/** Adds one under a label. */
export function count<Label extends PropertyKey>(counts: Partial<Record<Label, number>>, label: Label): void {
  counts[label] = (counts[label] ?? 0) + 1;
}
