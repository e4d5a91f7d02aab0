import { describe, expect, it } from 'vitest';
import { httpOptions } from '../../src/app/options.ts';
import { ConfigError, loadConfig } from '../../src/config/load.ts';
import { HTTP_DEFAULTS } from '../../src/gateway/http/options.ts';
import { GATEWAY_DEFAULTS } from '../../src/gateway/options.ts';
import { DEFAULT_LIVE_MAX_AGE_MS } from '../../src/roulette/number.ts';

describe('the defaults of the configuration', () => {
  const { config } = loadConfig({});

  it('are those of the gateway', () => {
    expect(GATEWAY_DEFAULTS).toMatchObject({
      host: config.HOST,
      port: config.PORT,
      origins: config.ALLOWED_ORIGINS,
      hosts: config.ALLOWED_HOSTS,
      trustedProxies: config.TRUSTED_PROXIES,
      maxConnections: config.MAX_CONNECTIONS,
      maxConnectionsPerAddress: config.MAX_CONNECTIONS_PER_ADDRESS,
      maxStreams: config.MAX_STREAMS,
      maxPolls: config.MAX_POLLS,
      maxPollsPerAddress: config.MAX_POLLS_PER_ADDRESS,
      acceptsPerSecond: config.ACCEPTS_PER_SECOND,
      acceptsPerSecondPerAddress: config.ACCEPTS_PER_SECOND_PER_ADDRESS,
      framesPerSecond: config.FRAMES_PER_SECOND,
      frameBurst: config.FRAME_BURST,
      maxTopics: config.MAX_TOPICS,
      maxFrameBytes: config.MAX_FRAME_BYTES,
      maxBacklogBytes: config.MAX_BACKLOG_KB * 1024,
      replayBytesPerSecond: config.REPLAY_MB_PER_SECOND * 1024 * 1024,
      pingSeconds: config.PING_SECONDS,
      maxLifetimeSeconds: config.MAX_LIFETIME_MINUTES * 60,
      dryRun: config.LIMITS === 'count',
    });
  });

  it('are those of the HTTP routes', () => {
    expect(HTTP_DEFAULTS).toMatchObject({
      origins: config.ALLOWED_ORIGINS,
      hosts: config.ALLOWED_HOSTS,
      trustedProxies: config.TRUSTED_PROXIES,
      ingestKeys: config.INGEST_KEYS,
      ingestOpen: config.INGEST_OPEN,
      adminKey: config.ADMIN_KEY,
      maxBodyBytes: config.MAX_BODY_KB * 1024,
      ingestPerSecond: config.INGEST_PER_SECOND,
      ingestBurst: config.INGEST_BURST,
      maxPendingWrites: config.MAX_PENDING_WRITES,
      maxPendingReads: config.MAX_PENDING_READS,
      pageServers: config.PAGE_SERVERS,
      readsPerSecondPerAddress: config.READS_PER_SECOND_PER_ADDRESS,
      maxTables: config.MAX_TABLES,
    });
  });

  it('are those of the domain', () => {
    expect(config.LIVE_MAX_AGE_MS).toBe(DEFAULT_LIVE_MAX_AGE_MS);
  });
});

describe('the addresses of the configuration', () => {
  const problemsOf = (call: () => unknown): string => {
    try {
      call();
    } catch (error) {
      if (error instanceof ConfigError) return error.problems.join();
      throw error;
    }
    return '';
  };

  it.each([
    ['TRUSTED_PROXIES', '10.0.0.0/99'],
    ['TRUSTED_PROXIES', '::ffff::1'],
  ])('are refused by the name of their setting: %s=%s', (name, value) => {
    const { config } = loadConfig({ [name]: value });
    expect(problemsOf(() => httpOptions(config, '0'))).toContain(`${name}: "${value}"`);
  });
});
