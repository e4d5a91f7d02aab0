import { SignJWT } from 'jose';
import { afterEach, describe, expect, it, vi } from 'vitest';
import WebSocket from 'ws';
import { secretKey } from '../../src/gateway/door/jwt-keys.ts';
import type { GatewayOptions } from '../../src/gateway/options.ts';
import { type LegacyStage, OTHER, startLegacyStage, TABLE } from './stage.ts';

const SECRET = 'a secret of more than thirty-two bytes';
const JWT: Partial<GatewayOptions> = {
  auth: { mode: 'jwt', keys: [secretKey(null, SECRET)], jwksUrl: null, issuer: null, audience: null },
};

const jwt = (claims: Record<string, unknown>, seconds: number): Promise<string> =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime(Math.floor(Date.now() / 1000) + seconds)
    .sign(new TextEncoder().encode(SECRET));

let stage: LegacyStage;
afterEach(() => stage.stop());

/** A WebSocket of Engine.IO by hand: what it hears, and when it is over. */
async function open(localAddress = '127.0.0.1') {
  const address = `ws://${stage.url}/socket.io/?EIO=4&transport=websocket`;
  const socket = new WebSocket(address, { localAddress });
  const heard: string[] = [];
  const waiting = new Set<() => void>();
  socket.on('message', (data) => {
    heard.push(String(data));
    for (const look of [...waiting]) look();
  });
  const over = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await new Promise((resolve) => socket.once('open', resolve));
  return {
    heard,
    over,
    join: (token: string) => socket.send(`40${JSON.stringify({ token })}`),
    hears: (part: string): Promise<void> =>
      new Promise((resolve) => {
        const look = (): void => {
          if (heard.some((text) => text.includes(part))) resolve();
        };
        waiting.add(look);
        look();
      }),
  };
}

describe('a Socket.IO connection', () => {
  it('with a bad token is told so and ended, whatever it tries after it', async () => {
    stage = await startLegacyStage(JWT);
    const connection = await open();
    for (let turn = 0; turn < 50; turn += 1) connection.join('x');
    await connection.over;
    expect(connection.heard.some((text) => text.startsWith('44') && text.includes('unauthorized'))).toBe(true);
    expect(stage.gateway.counters().closes[4004]).toBe(1);
    expect(stage.gateway.counters().open.socketio).toBe(0);
  });

  it('is refused late where its address tries bad tokens again and again, and nobody else is', async () => {
    // The share of an address refills by this clock, which stands still: however slow this machine is, 100 are its whole share.
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] });
    stage = await startLegacyStage(JWT);
    const tries = async () => {
      const connection = await open();
      connection.join('x');
      await connection.over;
    };
    await Promise.all(Array.from({ length: 100 }, tries));
    const flood = await Promise.all(Array.from({ length: 60 }, () => open()));
    for (const connection of flood) for (let turn = 0; turn < 3; turn += 1) connection.join('x');
    const other = await open('127.0.0.2');
    other.join('x');
    await other.over;
    expect(flood.flatMap(({ heard }) => heard.filter((text) => text.startsWith('44')))).toHaveLength(0);
    vi.advanceTimersByTime(1_500);
    vi.useRealTimers();
    await Promise.all(flood.map(({ over }) => over));
    expect(flood.flatMap(({ heard }) => heard.filter((text) => text.startsWith('44')))).toHaveLength(60);
  });

  it('cannot live on under a second token when the first one ends', async () => {
    stage = await startLegacyStage(JWT);
    const connection = await open();
    connection.join(await jwt({ tables: [TABLE] }, 60));
    await connection.hears('connection_success');
    connection.join(await jwt({ tables: [OTHER] }, 3600));
    await connection.over;
    expect(connection.heard.filter((text) => text.includes('connection_success'))).toHaveLength(1);
  });

  it('cannot join twice at once either', async () => {
    stage = await startLegacyStage(JWT);
    const connection = await open();
    const [first, second] = [await jwt({ tables: [TABLE] }, 60), await jwt({}, 3600)];
    connection.join(first);
    connection.join(second);
    await connection.over;
    expect(connection.heard.filter((text) => text.includes('connection_success')).length).toBeLessThanOrEqual(1);
  });
});
