import { describe, expect, it } from 'vitest';
import { attack, type RawSocket, rawConnect } from './raw.ts';
import { OWN, startTarget } from './target.ts';

describe.runIf(OWN)('a server whose descriptors run out', () => {
  it('keeps who it has, and takes new connections as soon as there is room', async () => {
    const target = await startTarget({}, 300);
    const regular = attack(target);
    expect(await regular.opened).toBe(true);
    const hoard: RawSocket[] = Array.from({ length: 400 }, () => rawConnect(target));
    const pong = new Promise((resolve) => regular.socket.once('message', resolve));
    regular.socket.send('{"type":"ping","id":1}');
    await pong;
    for (const { socket } of hoard) socket.destroy();
    await Promise.all(hoard.map(({ ended }) => ended));
    await expect
      .poll(
        async () => {
          const late = attack(target);
          const opened = await late.opened;
          late.socket.terminate();
          return opened;
        },
        { timeout: 20_000 },
      )
      .toBe(true);
    target.alive();
    regular.socket.terminate();
    await target.stop();
  });
});
