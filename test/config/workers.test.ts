import { describe, expect, it } from 'vitest';
import { gatewayOptions, httpOptions } from '../../src/app/options.ts';
import { loadConfig } from '../../src/config/load.ts';

const optionsOf = (env: Readonly<Record<string, string>>) => {
  const { config } = loadConfig(env);
  return { ...gatewayOptions(config, '0'), ...httpOptions(config, '0') };
};

describe('the limits of several workers', () => {
  it.each([
    ['MAX_CONNECTIONS_PER_ADDRESS', '5', 'maxConnectionsPerAddress'],
    ['MAX_CONNECTIONS', '1000', 'maxConnections'],
    ['MAX_STREAMS', '1000', 'maxStreams'],
    ['MAX_POLLS', '1000', 'maxPolls'],
    ['MAX_POLLS_PER_ADDRESS', '10', 'maxPollsPerAddress'],
    ['ACCEPTS_PER_SECOND', '100', 'acceptsPerSecond'],
    ['ACCEPTS_PER_SECOND_PER_ADDRESS', '10', 'acceptsPerSecondPerAddress'],
    ['INGEST_PER_SECOND', '100', 'ingestPerSecond'],
    ['MAX_PENDING_WRITES', '1000', 'maxPendingWrites'],
    ['MAX_PENDING_READS', '64', 'maxPendingReads'],
    ['READS_PER_SECOND_PER_ADDRESS', '50', 'readsPerSecondPerAddress'],
  ] as const)('together stay within %s', (name, limit, option) => {
    for (const workers of [1, 2, 3, 4]) {
      const each = optionsOf({ [name]: limit, WORKERS: String(workers) })[option];
      expect(each * workers).toBeLessThanOrEqual(Number(limit));
      expect(each).toBeGreaterThan(0);
    }
  });

  it('together stay within the rate of each key, and let one array through', () => {
    const optionsFor = (workers: string) =>
      optionsOf({
        INGEST_KEYS: 'a:0123456789abcdef@2010*/50,b:fedcba9876543210',
        INGEST_BURST: '2000',
        WORKERS: workers,
      });
    const { ingestKeys, ingestBurst } = optionsFor('4');
    expect(ingestKeys.map(({ perSecond }) => perSecond)).toEqual([12, undefined]);
    expect(ingestBurst).toBe(500);
    expect(optionsFor('8').ingestBurst).toBe(500);
    expect(optionsOf({ INGEST_PER_SECOND: '10', INGEST_BURST: '20', WORKERS: '4' }).ingestBurst).toBe(20);
  });

  it('leave each worker one, and no limit no limit', () => {
    expect(optionsOf({ MAX_POLLS_PER_ADDRESS: '1', WORKERS: '4' }).maxPollsPerAddress).toBe(1);
    expect(optionsOf({ MAX_CONNECTIONS_PER_ADDRESS: '0', WORKERS: '4' }).maxConnectionsPerAddress).toBe(0);
  });
});
