import { describe, expect, it } from 'vitest';
import { ConfigError, loadConfig } from '../../src/config/load.ts';
import { HTTP_DEFAULTS } from '../../src/gateway/http/options.ts';
import { GATEWAY_DEFAULTS, OPTION_BOUNDS } from '../../src/gateway/options.ts';
import { EMIT_EVENT_DEFAULTS } from '../../src/legacy/emit-event.ts';
import { DEFAULT_LIVE_MAX_AGE_MS, DEFAULT_MIN_SPIN_INTERVAL_MS } from '../../src/roulette/number.ts';

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

  it('are those of /emit-event', () => {
    expect(EMIT_EVENT_DEFAULTS).toEqual({ emitEvent: config.EMIT_EVENT, confirmWaitMs: config.CONFIRM_WAIT_MS });
  });

  it('are those of the domain', () => {
    expect(config.LIVE_MAX_AGE_MS).toBe(DEFAULT_LIVE_MAX_AGE_MS);
    expect(config.MIN_SPIN_INTERVAL_MS).toBe(DEFAULT_MIN_SPIN_INTERVAL_MS);
  });
});

describe('the ranges of the configuration', () => {
  const same = {
    PORT: 'port',
    MAX_CONNECTIONS: 'maxConnections',
    MAX_CONNECTIONS_PER_ADDRESS: 'maxConnectionsPerAddress',
    MAX_STREAMS: 'maxStreams',
    MAX_POLLS: 'maxPolls',
    MAX_POLLS_PER_ADDRESS: 'maxPollsPerAddress',
    ACCEPTS_PER_SECOND: 'acceptsPerSecond',
    ACCEPTS_PER_SECOND_PER_ADDRESS: 'acceptsPerSecondPerAddress',
    FRAMES_PER_SECOND: 'framesPerSecond',
    FRAME_BURST: 'frameBurst',
    MAX_TOPICS: 'maxTopics',
    MAX_FRAME_BYTES: 'maxFrameBytes',
    PING_SECONDS: 'pingSeconds',
  };

  it.each(Object.entries(same))('%s has that of the gateway', (setting, option) => {
    const [, min = 0, max = 0] = OPTION_BOUNDS.find(([name]) => name === option) ?? [];
    const problems = (value: number): string => {
      try {
        loadConfig({ [setting]: String(value) });
        return '';
      } catch (error) {
        return error instanceof ConfigError ? error.problems.join() : String(error);
      }
    };
    const range = `${setting} must be a whole number from ${min} to ${max}`;
    expect(problems(min - 1)).toContain(range);
    expect(problems(max + 1)).toContain(range);
  });
});
