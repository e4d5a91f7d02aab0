import { becomeCandidate } from './share-lead.ts';
import { startWorker } from './share-worker.ts';
import { browserTools, isFromLeader, type TabTools, type ToLeader, tabsOf } from './tab-tools.ts';
import type { Link, LinkSink, LinkTarget, Transport } from './transport.ts';

/**
 * One connection for all tabs of a browser: whoever has a lock leads, opens the real link, and passes frames on. That
 * is a SharedWorker (`withWorker`), which outlives every single tab, or else a tab. When it goes, the next one leads,
 * and every tab resumes from its own positions, so that nothing is lost. Where tabs cannot speak to each other, every
 * one has a link of its own.
 */
export function shareTransport(
  real: Transport,
  withWorker: boolean,
  tools: TabTools | null = browserTools(),
): Transport {
  if (tools === null || !real.duplex) return real;
  return {
    ...real,
    open(target, sink) {
      const takePart = (): void => becomeCandidate(tools, real, target.base);
      // Behind a worker that leads this tab is the next one; a worker that does not answer has had its chance.
      if (!withWorker || asked.has(target.base)) takePart();
      else startWorker(target.base, takePart);
      asked.add(target.base);
      return openShared(tools, target, sink, takePart);
    },
  };
}

/** Servers for which this page asked a worker to lead. */
const asked = new Set<string>();
let links = 0;

/** A link to whoever leads; `greeted` is called when that answers. */
function openShared(tools: TabTools, target: LinkTarget, sink: LinkSink, greeted: () => void): Link {
  links += 1;
  const from = `${Date.now().toString(36)}.${Math.random().toString(36).slice(2)}.${links}`;
  const name = tabsOf(target.base);
  const channel = tools.open(name);
  let over = false;
  let release = (): void => undefined;
  const say = (message: ToLeader): void => channel.postMessage(message);
  const close = (): void => {
    over = true;
    channel.close();
    release();
  };

  let isMember = false;
  channel.onmessage = ({ data }) => {
    if (over || !isFromLeader(data) || (data.to !== null && data.to !== from)) return;
    if (data.say === 'frame') {
      // Frames for all are of interest once this link was welcomed.
      if (!isMember && data.to === from) {
        isMember = true;
        greeted();
      }
      if (isMember) sink.frame(data.frame);
    } else if (data.say === 'closed' || isMember) {
      close();
      sink.closed(data.say === 'closed' ? data.end : { code: null, reason: 'another tab leads', better: true });
    } else {
      say({ from, say: 'open', token: target.token });
    }
  };
  // The link lives as long as this lock is taken: that is how the leader learns that a tab was killed.
  const open = new Promise<void>((resolve) => {
    release = resolve;
  });
  tools.locks.request(`${name} ${from}`, () => {
    if (!over) say({ from, say: 'open', token: target.token });
    return open;
  });
  return {
    send: (frame) => say({ from, say: 'frame', frame }),
    close() {
      if (!over) say({ from, say: 'close' });
      close();
    },
  };
}
