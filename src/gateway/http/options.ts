/** One credential of a scraper: `INGEST_KEYS=name:secret,...`. The name appears in logs and metrics, the secret never. */
export interface IngestKey {
  readonly name: string;
  readonly secret: string;
}

/** Everything about HTTP that an operator can change. Times in milliseconds, sizes in bytes. */
export interface HttpOptions {
  /** What `/` and `/status` call this service. */
  readonly service: string;
  readonly version: string;
  /** Exact origins, `https://*.example.com`, or `*`. A page's own origin is always allowed. */
  readonly allowedOrigins: readonly string[];
  /** Host names (`live.example.com`, `*.example.com`, with or without a port) that are answered; empty is all. */
  readonly allowedHosts: readonly string[];
  /** Addresses and ranges of proxies whose `X-Forwarded-For` says whom a limit counts. It never opens ingest. */
  readonly trustedProxies: readonly string[];
  readonly ingestKeys: readonly IngestKey[];
  /** Accept ingest without a key from anywhere. */
  readonly ingestOpen: boolean;
  /** Opens `/metrics` and the detail of `/status` to others than this machine; null keeps them to it. */
  readonly adminKey: string | null;
  /** What `/emit-event` does: store the event, or answer once the scraper's own insert is found. */
  readonly emitEvent: 'store' | 'confirm';
  /** How long `confirm` looks for the number. */
  readonly confirmWaitMs: number;
  readonly maxBodyBytes: number;
  /** Bytes of all bodies that are being read at one time. */
  readonly maxBufferedBytes: number;
  /** From the request's headers to the last byte of its body. */
  readonly bodyWaitMs: number;
  /** Request line and headers together. uWebSockets.js itself stops at 4096 when they come in several reads. */
  readonly maxHeaderBytes: number;
  /** Items per second and key (or address, without keys); 0 is no limit. */
  readonly ingestPerSecond: number;
  readonly ingestBurst: number;
  /** Items handed to the database and not answered yet, over all callers. */
  readonly maxPendingWrites: number;
  /** Reads that wait for the database at one time. */
  readonly maxPendingReads: number;
  /** Sends `Strict-Transport-Security`; for TLS here or at the proxy. */
  readonly https: boolean;
}

export const HTTP_DEFAULTS = {
  service: 'RunCash Live',
  version: '0.1.0',
  allowedOrigins: ['*'],
  allowedHosts: [],
  trustedProxies: [],
  ingestKeys: [],
  ingestOpen: false,
  adminKey: null,
  emitEvent: 'store',
  confirmWaitMs: 5_000,
  maxBodyBytes: 512 * 1024,
  maxBufferedBytes: 64 * 1024 * 1024,
  bodyWaitMs: 10_000,
  maxHeaderBytes: 4096,
  ingestPerSecond: 0,
  ingestBurst: 1000,
  maxPendingWrites: 10_000,
  maxPendingReads: 64,
  https: false,
} as const satisfies HttpOptions;
