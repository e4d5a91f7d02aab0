import { setPriority } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { attack, frameBytes, type RawSocket, rawConnect, rawWebsocket, request, UPGRADE } from './raw.ts';
import { OWN, startTarget, startWitnesses, type Target, type Witnesses } from './target.ts';

const PAIRS = 7;
const WINDOW_MS = 600;

/** Milliseconds between two attacks: what is measured is the server's time, not that of the attackers' machine. */
const ATTACK_EVERY_MS = 100;

/** Attacks until `going` says no more. */
type Load = (target: Target, going: () => boolean) => Promise<void>;

/** One attack after the other. */
const again =
  (once: (target: Target) => Promise<unknown>): Load =>
  async (target, going) => {
    while (going()) await Promise.all([once(target), delay(ATTACK_EVERY_MS)]);
  };

const LOADS: readonly (readonly [string, Load])[] = [
  [
    'floods of frames',
    again(async (target) => {
      const { socket, opened, closed } = attack(target);
      if (await opened) for (let sent = 0; sent < 200; sent += 1) socket.send('{"type":"ping","id":1}');
      await closed;
    }),
  ],
  [
    'nonsense',
    again(async (target) => {
      const { socket, opened, closed } = attack(target);
      if (await opened)
        for (let sent = 0; sent < 20; sent += 1) socket.send('{"type":"subscribe","topics":[{"topic":7}]}');
      await closed;
    }),
  ],
  [
    'connecting and going away',
    again(async (target) => {
      const raw = rawConnect(target);
      raw.socket.write(request(...UPGRADE(target.url)));
      await raw.until(/\r\n\r\n/);
      raw.socket.destroy();
    }),
  ],
  [
    'snapshots in circles',
    again(async (target) => {
      const { socket, opened, closed } = attack(target);
      if (await opened) {
        for (let id = 0; id < 20; id += 1) {
          socket.send(`{"type":"subscribe","id":${id},"topics":["roulette:2010165"],"history":200}`);
          socket.send(`{"type":"unsubscribe","id":${id},"topics":["roulette:2010165"]}`);
        }
      }
      await closed;
    }),
  ],
  [
    'old positions',
    again(async (target) => {
      const { socket, opened, closed } = attack(target);
      const frame = '{"type":"subscribe","id":1,"topics":["roulette:*"],"after":"0000000000000000000001","epoch":"e1"}';
      if (await opened) for (let id = 0; id < 20; id += 1) socket.send(frame);
      await closed;
    }),
  ],
];

describe('200 clients that behave keep their p99', () => {
  let target: Target;
  let witnesses: Witnesses;

  beforeAll(async () => {
    target = await startTarget();
    witnesses = await startWitnesses(target);
    // The attackers share the processor with both, whose processes are started now; they get what those leave.
    setPriority(10);
  });
  afterAll(async () => {
    await witnesses.stop();
    await target.stop();
  });

  /** What the witnesses saw in one window; `load` runs beside it, or nothing does. */
  async function window(load: Load | null): Promise<{ p99Ms: number; missed: number }> {
    let going = true;
    const running = load?.(target, () => going);
    witnesses.begin();
    await delay(WINDOW_MS);
    const { p99Ms, holes, repeats, closed } = await witnesses.seen();
    going = false;
    await running;
    return { p99Ms, missed: holes + repeats + closed };
  }

  /** The median of the differences of interleaved pairs: a machine that is slow for a while is slow for both of a pair. */
  async function compare(load: Load): Promise<void> {
    const pairs: { quiet: number; loaded: number }[] = [];
    for (let pair = 0; pair < PAIRS; pair += 1) {
      const quietFirst = pair % 2 === 0;
      const first = await window(quietFirst ? null : load);
      const second = await window(quietFirst ? load : null);
      expect(first.missed + second.missed).toBe(0);
      const [quiet, loaded] = quietFirst ? [first, second] : [second, first];
      pairs.push({ quiet: quiet.p99Ms, loaded: loaded.p99Ms });
    }
    const excess = pairs.map(({ quiet, loaded }) => loaded - Math.max(quiet * 1.1, quiet + 5)).sort((a, b) => a - b);
    const shown = pairs.map(({ quiet, loaded }) => `${quiet.toFixed(1)}/${loaded.toFixed(1)}`).join(' ');
    expect(excess[Math.floor(PAIRS / 2)], `p99 quiet/loaded in ms: ${shown}`).toBeLessThanOrEqual(0);
  }

  it.each(LOADS)('beside %s', (_, load) => compare(load));

  it.runIf(OWN)('beside readers that stall while much is sent', async () => {
    const stalled: RawSocket[] = [];
    await compare(async (under, going) => {
      const raw = await rawWebsocket(under);
      stalled.push(raw);
      raw.socket.write(frameBytes('{"type":"subscribe","id":1,"topics":["roulette:2010033"]}'));
      await raw.until(/"subscribed"/);
      raw.socket.pause();
      await under.inside?.pour(1);
      while (going()) await delay(20);
      await under.inside?.pour(0);
    });
    for (const { socket } of stalled) socket.destroy();
  });
});
