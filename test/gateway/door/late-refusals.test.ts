import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLateRefusals } from '../../../src/gateway/door/arrival.ts';
import { startHttpApp } from '../../support/http-app.ts';

describe('refusals', () => {
  let answered: string[];
  beforeEach(() => {
    vi.useFakeTimers();
    answered = [];
  });
  afterEach(() => void vi.useRealTimers());

  const refuse = createLateRefusals();
  const refuseTimes = (key: string, times: number): void => {
    for (let time = 0; time < times; time += 1) refuse(key, () => answered.push(key));
  };

  it('of one address come at once up to a burst, and then about a second late', () => {
    refuseTimes('a', 101);
    expect(answered).toHaveLength(100);
    vi.advanceTimersByTime(499);
    expect(answered).toHaveLength(100);
    vi.advanceTimersByTime(1_001);
    expect(answered).toHaveLength(101);
    // The share refills meanwhile.
    refuseTimes('a', 20);
    expect(answered).toHaveLength(121);
  });

  it('of others do not wait for those', () => {
    refuseTimes('b', 150);
    refuseTimes('c', 1);
    expect(answered.filter((key) => key === 'b')).toHaveLength(100);
    expect(answered.at(-1)).toBe('c');
    vi.runAllTimers();
  });

  it('come at once again where too many wait, since each holds its connection', () => {
    refuseTimes('d', 100);
    refuseTimes('d', 1_000);
    expect(answered).toHaveLength(100);
    refuseTimes('d', 5);
    expect(answered).toHaveLength(105);
    vi.runAllTimers();
    expect(answered).toHaveLength(1_105);
  });
});

describe('a flood of wrong keys', () => {
  it('waits for its answers, while another address is refused at once', async () => {
    const app = await startHttpApp({
      ingestKeys: [{ name: 'mesa', secret: 'right-right-right' }],
      trustedProxies: ['127.0.0.1'],
    });
    const refused = async (visitor: string): Promise<number> => {
      const headers = { 'content-type': 'application/json', 'x-api-key': 'wrong', 'x-forwarded-for': visitor };
      return (await fetch(`${app.url}/api/v1/numbers`, { method: 'POST', headers, body: '{}' })).status;
    };
    for (let time = 0; time < 5; time += 1) {
      await Promise.all(Array.from({ length: 20 }, () => refused('203.0.113.1')));
    }
    const order: string[] = [];
    // More than the share refills meanwhile.
    const flood = Array.from({ length: 60 }, () => refused('203.0.113.1'));
    const whole = Promise.all(flood).then((statuses) => {
      order.push('flood');
      return statuses;
    });
    expect(await refused('203.0.113.2')).toBe(401);
    order.push('other');
    expect(new Set(await whole)).toEqual(new Set([401]));
    expect(order).toEqual(['other', 'flood']);
    app.stop();
  });
});
