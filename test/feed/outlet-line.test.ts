import { describe, expect, it } from 'vitest';
import { createOutletLine } from '../../src/feed/outlet-line.ts';

describe('a line to a replica', () => {
  it('is cut when too much waits for a copy that is not taken', () => {
    let isCut = false;
    const sent: string[] = [];
    const line = createOutletLine({
      send: (message) => sent.push(message),
      hasRoom: () => false,
      close() {
        isCut = true;
      },
    });
    line.send('before');
    line.copy(['copy']);
    const text = 'x'.repeat(1024 * 1024);
    for (let message = 0; message < 256; message++) line.send(text);
    expect(isCut).toBe(false);
    line.send(text);
    expect(isCut).toBe(true);
    expect(sent).toEqual(['before']);
  });
});
