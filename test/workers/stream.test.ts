import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { createOutletLine } from '../../src/feed/outlet-line.ts';
import { openStream, type StreamServer, serveStream } from '../../src/workers/stream.ts';

const folder = mkdtempSync(join(tmpdir(), 'runcash-stream-'));
let server: StreamServer | null = null;

afterEach(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true });
});

const MB = 1024 * 1024;
/** More than may be unsent on a line. */
const COPY_MB = 400;

describe('a line to a worker', () => {
  it('carries a copy that is larger than what may be unsent, and after it what was sent meanwhile', async () => {
    const text = 'x'.repeat(MB);
    function* copy(): Generator<string, void> {
      for (let line = 0; line < COPY_MB; line++) yield text;
    }
    server = await serveStream(join(folder, 'socket'), (link) => {
      const line = createOutletLine(link);
      line.copy(copy());
      line.send('after');
      return { said: () => undefined, drained: line.drained, closed: () => undefined };
    });
    const link = await openStream(join(folder, 'socket'));
    let taken = 0;
    for await (const message of link.messages) {
      if (message === 'after') break;
      taken += message.length;
    }
    expect(taken).toBe(COPY_MB * MB);
    link.close();
  });
});
