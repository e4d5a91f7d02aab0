import { on, once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createOutletLine } from '../../../src/feed/outlet-line.ts';
import { serveReplicas } from '../../../src/gateway/live/replica.ts';
import { startTestGateway } from '../../support/gateway.ts';

const MB = 1024 * 1024;
/** More than may be unsent on a line. */
const COPY_MB = 400;

describe.each(['uws', 'node'] as const)('a line to a leaf (%s)', (network) => {
  it('carries a copy that is larger than what may be unsent, and after it what was sent meanwhile', async () => {
    const text = 'x'.repeat(MB);
    function* copy(): Generator<string, void> {
      for (let line = 0; line < COPY_MB; line++) yield text;
    }
    const replicate: Parameters<typeof serveReplicas>[2]['replicate'] = (link) => {
      const line = createOutletLine(link);
      return {
        said() {
          line.copy(copy());
          line.send('after');
        },
        drained: line.drained,
        closed: () => undefined,
      };
    };
    const { gateway, url } = await startTestGateway(
      { network },
      { transports: [(app, parts) => serveReplicas(app, parts, { replicate, isAllowed: () => true })] },
    );
    const socket = new WebSocket(`ws://${url}/api/v1/replica`, { perMessageDeflate: false });
    await once(socket, 'open');
    const messages = on(socket, 'message', { close: ['close'] });
    socket.send('follow');
    let taken = 0;
    let last = '';
    for await (const [data] of messages) {
      last = String(data);
      if (last === 'after') break;
      taken += last.length;
    }
    expect({ taken, last }).toEqual({ taken: COPY_MB * MB, last: 'after' });
    socket.terminate();
    await gateway.stop();
  });
});
