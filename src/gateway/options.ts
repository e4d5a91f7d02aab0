import type { SubscriberAuth } from './door/jwt.ts';
import type { NetworkChoice } from './network/choose.ts';

/** What is asked of every request, whichever transport it is for. */
export interface DoorOptions {
  /** Exact origins, `https://*.example.com`, or `*`. A page's own origin is always allowed. */
  readonly origins: readonly string[];
  /** Names that the Host header may have, with or without a port; none accepts all. */
  readonly hosts: readonly string[];
  /** Addresses and ranges of proxies whose `X-Forwarded-For` says whom a limit counts. It never opens ingest. */
  readonly trustedProxies: readonly string[];
  /** Request line and headers together. uWebSockets.js itself stops at 4096 when they come in several reads. */
  readonly maxHeaderBytes: number;
  /** Sends `Strict-Transport-Security`; for TLS here or at the proxy. */
  readonly https: boolean;
}

export const DOOR_DEFAULTS = {
  origins: ['*'],
  hosts: [],
  trustedProxies: [],
  maxHeaderBytes: 4_096,
  https: false,
} as const satisfies DoorOptions;

/** Everything that can be set about the network side. Times carry their unit; `*Bytes` are bytes. */
export interface GatewayOptions extends DoorOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** True lets several processes listen on the port (SO_REUSEPORT); false makes a taken port an error. */
  readonly sharePort: boolean;
  /** The library under it; `auto` is uWebSockets.js where that loads. */
  readonly network: NetworkChoice;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | null;
  /** Version and instance as `hello` names them. */
  readonly version: string;
  readonly instance: string;

  readonly auth: SubscriberAuth;
  /** How long a connection may stay without a valid token. */
  readonly authDeadlineMs: number;
  /** How long after a token's expiry a new one is awaited. */
  readonly authGraceMs: number;

  /** Connections of all transports together, and those of one address (0: no such limit). */
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  /** Of these, event streams and open polls. */
  readonly maxStreams: number;
  readonly maxPolls: number;
  readonly maxPollsPerAddress: number;
  /** New connections per second, in all and of one address (0: no such limit). */
  readonly acceptsPerSecond: number;
  readonly acceptBurst: number;
  readonly acceptsPerSecondPerAddress: number;
  readonly acceptBurstPerAddress: number;
  /** What a connection may send: frames weighted by their cost. */
  readonly framesPerSecond: number;
  readonly frameBurst: number;
  /** Frames with errors before a connection is closed for good. */
  readonly maxErrors: number;
  readonly maxTopics: number;
  readonly maxFrameBytes: number;

  /** Unsent bytes of one connection at which a replay pauses, and at which the connection is closed. */
  readonly softBacklogBytes: number;
  readonly maxBacklogBytes: number;
  /** Snapshots and replays of all connections together. */
  readonly replayBytesPerSecond: number;

  /** How long a WebSocket may stay without any frame after it opened. */
  readonly firstFrameMs: number;
  /** Between two pings; a peer that stays away 16 s longer is closed. */
  readonly pingSeconds: number;
  /** Per connection shortened by up to a tenth, so that connections opened together do not end together. */
  readonly maxLifetimeSeconds: number;
  readonly maxPollWaitSeconds: number;
  /** Reconnect delays handed to clients lie between these. */
  readonly minRetryMs: number;
  readonly maxRetryMs: number;
  /** True counts what the limits would refuse and lets it through. */
  readonly dryRun: boolean;
  /** How often deadlines are looked at. */
  readonly sweepMs: number;
}

export const GATEWAY_DEFAULTS: GatewayOptions = Object.freeze<GatewayOptions>({
  host: '127.0.0.1',
  port: 5000,
  sharePort: false,
  network: 'auto',
  tls: null,
  version: '0.1.0',
  instance: 'local',
  ...DOOR_DEFAULTS,
  auth: { mode: 'none' },
  authDeadlineMs: 5_000,
  authGraceMs: 30_000,
  maxConnections: 20_000,
  maxConnectionsPerAddress: 500,
  maxStreams: 5_000,
  maxPolls: 2_000,
  maxPollsPerAddress: 50,
  acceptsPerSecond: 2_000,
  acceptBurst: 4_000,
  acceptsPerSecondPerAddress: 100,
  acceptBurstPerAddress: 500,
  framesPerSecond: 20,
  frameBurst: 40,
  maxErrors: 20,
  maxTopics: 100,
  maxFrameBytes: 4_096,
  softBacklogBytes: 64 * 1024,
  maxBacklogBytes: 256 * 1024,
  replayBytesPerSecond: 64 * 1024 * 1024,
  firstFrameMs: 12_000,
  pingSeconds: 25,
  maxLifetimeSeconds: 4 * 3600,
  maxPollWaitSeconds: 55,
  minRetryMs: 500,
  maxRetryMs: 3_000,
  dryRun: false,
  sweepMs: 1_000,
});
