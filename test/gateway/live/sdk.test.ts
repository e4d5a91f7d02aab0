import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { type Client, connect } from '../../../src/client/connect.ts';
import { startTestGateway, type TestGateway } from '../../support/gateway.ts';
import { TRANSPORTS } from '../../support/subscribers.ts';

const A = '2010165';

describe.each(TRANSPORTS)('this project’s own client over %s', (transport) => {
  let running: TestGateway;
  let client: Client;

  beforeEach(async () => {
    running = await startTestGateway();
    // The server is there at once; a client waits up to a second before its first attempt.
    client = connect(`ws://${running.url}/ws`, { transports: [transport], WebSocket, random: () => 0 });
  });
  afterEach(async () => {
    client.close();
    await running.gateway.stop();
  });

  it('follows a table through breaks, a reset and a restore, and misses and repeats nothing', async () => {
    const subscription = client.subscribe(`roulette:${A}`, { history: 200 });
    await subscription.ready();
    const numbersOf = (): number[] | undefined =>
      subscription.tables
        .get(A)
        ?.numeros.map(({ numero }) => numero)
        .reverse();

    for (let numero = 0; numero < 10; numero += 1) running.feed.spin(A, numero);
    await expect.poll(numbersOf).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);

    client.interrupt();
    for (let numero = 10; numero < 20; numero += 1) running.feed.spin(A, numero);
    await expect.poll(() => numbersOf()?.length, { timeout: 10_000 }).toBe(20);

    running.feed.reset(A);
    running.feed.spin('2010097', 1);
    running.feed.heal(A);
    running.feed.spin(A, 20);
    await expect.poll(() => numbersOf()?.at(-1), { timeout: 10_000 }).toBe(20);

    running.feed.restore();
    running.feed.spin(A, 21);
    await expect.poll(() => numbersOf()?.at(-1), { timeout: 10_000 }).toBe(21);
    expect(client.stats.gaps).toBe(0);
    expect(client.stats.malformed).toBe(0);
    expect(client.stats.epoch).toBe('e2');
    expect(running.gateway.counters().failures).toBe(0);
  });
});
