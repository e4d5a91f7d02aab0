import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Config, ConfigError, type LoadedConfig, loadOwnConfig } from '../config/load.ts';
import type { FeedOptions, ReplicaFeedOptions } from '../feed/feed.ts';
import { trustedProxies } from '../gateway/door/address.ts';
import type { SubscriberAuth, TokenAuth } from '../gateway/door/jwt.ts';
import { type JwtKey, publicKey, secretKey } from '../gateway/door/jwt-keys.ts';
import { HTTP_DEFAULTS, type HttpOptions } from '../gateway/http/options.ts';
import { DOOR_DEFAULTS, type DoorOptions, GATEWAY_DEFAULTS, type GatewayOptions } from '../gateway/options.ts';
import type { EmitEventOptions } from '../legacy/emit-event.ts';
import { MAX_BATCH } from '../roulette/ingest.ts';
import { createSources, type Sources } from '../roulette/source.ts';
import type { StoreOptions } from '../store/connect.ts';

/** From the configuration, in an operator's names and units, to the options of each room. */

const KB = 1024;
const MB = 1024 * 1024;

/** What reads one key of the configuration; its words name the variable. */
function named<T>(variable: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new ConfigError([`${variable}: ${error instanceof Error ? error.message : String(error)}`]);
  }
}

const fileKey = (variable: string, id: string | null, path: string, algorithm: string | null): JwtKey =>
  named(variable, () => publicKey(id, readFileSync(path, 'utf8'), algorithm));

/** Every key of the configuration. Throws ConfigError for one that cannot be used. */
function jwtKeys({ JWT_SECRET: secret, JWT_PUBLIC_KEY_FILE: path, JWT_KEYS: keys }: Config): readonly JwtKey[] {
  return [
    ...(secret === null ? [] : [named('JWT_SECRET', () => secretKey(null, secret))]),
    ...(path === null ? [] : [fileKey('JWT_PUBLIC_KEY_FILE', null, path, null)]),
    ...keys.map(({ id, algorithm, value }) =>
      algorithm.startsWith('HS')
        ? named(`JWT_KEYS (${id})`, () => secretKey(id, value, algorithm))
        : fileKey(`JWT_KEYS (${id})`, id, value, algorithm),
    ),
  ];
}

/** How tokens are checked, wherever they are asked for. Reads the key files; throws ConfigError for one that is no key. */
export const tokenAuth = (config: Config): TokenAuth => ({
  mode: 'jwt',
  keys: jwtKeys(config),
  jwksUrl: config.JWKS_URL,
  issuer: config.JWT_ISSUER,
  audience: config.JWT_AUDIENCE,
});

const authOf = (config: Config): SubscriberAuth => (config.AUTH === 'none' ? { mode: 'none' } : tokenAuth(config));

/** The configuration of this process, whose keys and addresses can be used. Throws ConfigError. */
export function loadCheckedConfig(): LoadedConfig {
  const loaded = loadOwnConfig();
  authOf(loaded.config);
  doorOptions(loaded.config);
  return loaded;
}

/**
 * One worker's part of a limit, so that all workers together stay within it: the system spreads connections over them as
 * it likes, and they do not ask each other. 0 stays no limit, and every worker may have one.
 */
const shared = ({ WORKERS }: Config, limit: number): number =>
  limit === 0 ? 0 : Math.max(1, Math.floor(limit / WORKERS));

/** What both halves of the network side ask of every request. Throws ConfigError. */
function doorOptions(config: Config): DoorOptions {
  // What looks like a network may still be none, as 10.0.0.0/99.
  named('TRUSTED_PROXIES', () => trustedProxies(config.TRUSTED_PROXIES));
  return {
    ...DOOR_DEFAULTS,
    origins: config.ALLOWED_ORIGINS,
    hosts: config.ALLOWED_HOSTS,
    trustedProxies: config.TRUSTED_PROXIES,
    https: config.TLS_CERT_FILE !== null,
  };
}

/** Options of `POST /emit-event`. */
export const emitEventOptions = (config: Config): EmitEventOptions => ({
  emitEvent: config.EMIT_EVENT,
  confirmWaitMs: config.CONFIRM_WAIT_MS,
});

/** Options of the network side. `version` is the package's. */
export const gatewayOptions = (config: Config, version: string): GatewayOptions => ({
  ...GATEWAY_DEFAULTS,
  host: config.HOST,
  port: config.PORT,
  sharePort: config.WORKERS > 1,
  network: config.NETWORK,
  tls:
    config.TLS_CERT_FILE === null || config.TLS_KEY_FILE === null
      ? null
      : { certFile: config.TLS_CERT_FILE, keyFile: config.TLS_KEY_FILE },
  version,
  instance: randomBytes(3).toString('hex'),
  ...doorOptions(config),
  auth: authOf(config),
  maxConnections: shared(config, config.MAX_CONNECTIONS),
  maxConnectionsPerAddress: shared(config, config.MAX_CONNECTIONS_PER_ADDRESS),
  maxStreams: shared(config, config.MAX_STREAMS),
  maxPolls: shared(config, config.MAX_POLLS),
  maxPollsPerAddress: shared(config, config.MAX_POLLS_PER_ADDRESS),
  acceptsPerSecond: shared(config, config.ACCEPTS_PER_SECOND),
  acceptsPerSecondPerAddress: shared(config, config.ACCEPTS_PER_SECOND_PER_ADDRESS),
  framesPerSecond: config.FRAMES_PER_SECOND,
  frameBurst: config.FRAME_BURST,
  maxTopics: config.MAX_TOPICS,
  maxFrameBytes: config.MAX_FRAME_BYTES,
  maxBacklogBytes: config.MAX_BACKLOG_KB * KB,
  replayBytesPerSecond: shared(config, config.REPLAY_MB_PER_SECOND * MB),
  pingSeconds: config.PING_SECONDS,
  maxLifetimeSeconds: config.MAX_LIFETIME_MINUTES * 60,
  dryRun: config.LIMITS === 'count',
});

/** Options of the HTTP routes. */
export const httpOptions = (config: Config, version: string): HttpOptions => ({
  ...HTTP_DEFAULTS,
  version,
  ...doorOptions(config),
  ingestKeys: config.INGEST_KEYS.map((key) =>
    key.perSecond === undefined ? key : { ...key, perSecond: shared(config, key.perSecond) },
  ),
  ingestOpen: config.INGEST_OPEN,
  adminKey: config.ADMIN_KEY,
  publicReads: config.PUBLIC_READS,
  maxBodyBytes: config.MAX_BODY_KB * KB,
  ingestPerSecond: shared(config, config.INGEST_PER_SECOND),
  // The longest array has to fit where the whole burst does.
  ingestBurst: Math.max(Math.min(config.INGEST_BURST, MAX_BATCH), shared(config, config.INGEST_BURST)),
  maxPendingWrites: shared(config, config.MAX_PENDING_WRITES),
  maxPendingReads: shared(config, config.MAX_PENDING_READS),
  pageServers: config.PAGE_SERVERS,
  readsPerSecondPerAddress: shared(config, config.READS_PER_SECOND_PER_ADDRESS),
  maxTables: config.MAX_TABLES,
  liveMaxAgeMs: config.LIVE_MAX_AGE_MS,
  extraFields: config.EXTRA_FIELDS,
});

/** Options of every feed, whatever it follows. */
export const replicaOptions = (config: Config): Omit<ReplicaFeedOptions, 'connect'> => ({
  recoveryWindowSeconds: config.RECOVERY_WINDOW_SECONDS,
  ringBytes: config.RING_MAX_MB * MB,
  timings: { syncMs: config.SYNC_INTERVAL_MS },
});

/** Which collections and fields of the database are read. */
export const sourcesOf = ({ EXTRA_FIELDS, TABLE_COLLECTIONS }: Config): Sources =>
  createSources({
    extraFields: EXTRA_FIELDS,
    tableCollections:
      TABLE_COLLECTIONS === null ? null : named('TABLE_COLLECTIONS', () => new RegExp(TABLE_COLLECTIONS)),
  });

/** Options of the feed on the MongoDB at `uri`. */
export const feedOptions = (config: Config, uri: string): FeedOptions => ({
  ...replicaOptions(config),
  uri,
  readPreference: config.FEED_READ_PREFERENCE,
  database: config.MONGODB_DB_NAME,
  tablesDatabase: config.ROLETAS_MONGODB_DB_NAME ?? config.MONGODB_DB_NAME,
  liveMaxAgeMs: config.LIVE_MAX_AGE_MS,
  minSpinIntervalMs: config.MIN_SPIN_INTERVAL_MS,
  awaitMs: 1_000,
});

/** Options of the store on the MongoDB at `uri`, without what it asks the feed. */
export const storeOptions = (config: Config, uri: string): Omit<StoreOptions, 'resolve' | 'nameOf'> => ({
  uri,
  database: config.MONGODB_DB_NAME,
  tablesDatabase: config.ROLETAS_MONGODB_DB_NAME,
  layout: config.INGEST_LAYOUT,
  minSpinIntervalMs: config.MIN_SPIN_INTERVAL_MS,
});
