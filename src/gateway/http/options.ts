import { DEFAULT_LIVE_MAX_AGE_MS } from '../../roulette/number.ts';
import { DOOR_DEFAULTS, type DoorOptions } from '../options.ts';

/** One credential of a scraper: `INGEST_KEYS=name:secret,...`. The name appears in logs and metrics, the secret never. */
export interface IngestKey {
  readonly name: string;
  readonly secret: string;
  /** Table ids, or beginnings of them with a star, that it may post for; absent: all. */
  readonly tables?: readonly string[];
  /** Items per second in place of `ingestPerSecond`. */
  readonly perSecond?: number;
}

/** Everything about HTTP that an operator can change. Times in milliseconds, sizes in bytes. */
export interface HttpOptions extends DoorOptions {
  /** What `/` and `/status` call this service. */
  readonly service: string;
  readonly version: string;
  readonly ingestKeys: readonly IngestKey[];
  /** Accept ingest without a key from anywhere. */
  readonly ingestOpen: boolean;
  /** Asked for `/metrics` and the detail of `/status`, also on this machine; null: programs on this machine may have them. */
  readonly adminKey: string | null;
  /** Lets everybody read over plain HTTP where subscribers need a token. */
  readonly publicReads: boolean;
  readonly maxBodyBytes: number;
  /** Bytes of all bodies that are being read at one time. */
  readonly maxBufferedBytes: number;
  /** From the request's headers to the last byte of its body. */
  readonly bodyWaitMs: number;
  /** Items per second and key (or address, without keys); 0 is no limit. */
  readonly ingestPerSecond: number;
  readonly ingestBurst: number;
  /** Items handed to the database and not answered yet: over all callers, of which each key has a share. */
  readonly maxPendingWrites: number;
  /** Origins of other servers that the pages may read from, beside their own. */
  readonly pageServers: readonly string[];
  /** Reads per second of one address, lists and files included; 0 is no limit. Five seconds' worth may come at once. */
  readonly readsPerSecondPerAddress: number;
  /** Tables that posts may bring the service to; beyond, only known ones are taken. */
  readonly maxTables: number;
  /** Reads that wait for the database at one time; one address has a quarter of them. */
  readonly maxPendingReads: number;
  /** How long a long-poll of a log waits for an event. */
  readonly logWaitMs: number;
  /** The age from which a stored number becomes no live event, milliseconds. */
  readonly liveMaxAgeMs: number;
  /** Fields of a writer's own that are passed through: columns of CSV after all others. */
  readonly extraFields: readonly string[];
}

export const HTTP_DEFAULTS = {
  ...DOOR_DEFAULTS,
  service: 'RunCash Live',
  version: '0.1.0',
  ingestKeys: [],
  ingestOpen: false,
  adminKey: null,
  publicReads: false,
  maxBodyBytes: 512 * 1024,
  maxBufferedBytes: 64 * 1024 * 1024,
  bodyWaitMs: 10_000,
  ingestPerSecond: 2000,
  ingestBurst: 2_000,
  maxPendingWrites: 10_000,
  pageServers: [],
  readsPerSecondPerAddress: 200,
  maxTables: 2_000,
  maxPendingReads: 64,
  logWaitMs: 20_000,
  liveMaxAgeMs: DEFAULT_LIVE_MAX_AGE_MS,
  extraFields: [],
} as const satisfies HttpOptions;
