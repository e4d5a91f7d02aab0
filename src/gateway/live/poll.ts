import type { Frame } from '../../protocol/messages.ts';
import type { NetworkApp } from '../network/network.ts';
import { byeFrame } from './frames.ts';
import { createPositionTracker } from './last-position.ts';
import type { GatewayParts } from './parts.ts';
import { type Carrier, type HttpSession, serveHttpSubscriber } from './stream-session.ts';
import { parseWait } from './topics-query.ts';

/** White space between JSON tokens. */
const FILLER = ' ';

/** Frames that say nothing a reader waits for; they only come along. */
const QUIET: ReadonlySet<Frame['type']> = new Set(['sync', 'subscribed']);

/**
 * Gathers frames and answers once there is something to say, or the wait is over; never before the acknowledgement,
 * since only that makes snapshots and replays usable. Gathered frames are shared with everybody else who gets them:
 * waiting costs references, and the text is written in portions as the reader takes them.
 */
function carryPoll(session: HttpSession, parts: GatewayParts): Carrier {
  const { stream, visit, request } = session;
  const waitMs = parseWait(visit.head.query, parts.options.maxPollWaitSeconds) * 1000;
  const tracker = createPositionTracker(request.after, parts.delivery.reached()?.epoch ?? '', session.uneven);
  const gathered: Frame[] = [];
  let acknowledged = false;
  /** Something beside the acknowledgement: a snapshot, a replay, an event. */
  let worthwhile = false;
  let answering = false;
  let fresh = true;
  let timer: NodeJS.Timeout | null = null;
  let sent = 0;
  let next: string | null = null;

  function answer(): void {
    if (answering || !stream.isLive()) return;
    answering = true;
    if (timer !== null) clearTimeout(timer);
    next = tracker.current();
    session.leave();
    fresh = false;
    stream.begin('200 OK', {
      ...visit.answerHeaders,
      'Content-Type': 'application/json',
    });
    pour();
  }

  /** Writes until the reader needs a pause; `room` goes on. */
  function pour(): void {
    while (sent < gathered.length) {
      const text = gathered[sent]?.text ?? '';
      const more = stream.push(sent === 0 ? `{"frames":[${text}` : `,${text}`);
      sent += 1;
      if (!more) return;
    }
    stream.push(`${sent === 0 ? '{"frames":[' : ''}],"next":${JSON.stringify(next)}}`);
    stream.finish();
  }

  return {
    carry(frame) {
      if (answering) return false;
      tracker.move(frame);
      const last = gathered.at(-1);
      if (frame.type === 'sync' && last?.type === 'sync') gathered[gathered.length - 1] = frame;
      else gathered.push(frame);
      if (!QUIET.has(frame.type)) worthwhile = true;
      if (frame.type === 'subscribed') {
        acknowledged = true;
        // Who asks for the first time waits for the answer itself.
        worthwhile ||= request.after === null;
        if (!worthwhile && waitMs > 0) timer = setTimeout(answer, waitMs);
      }
      // A turn of the event loop later, so that a burst comes as one answer.
      if (acknowledged && (worthwhile || waitMs === 0)) setImmediate(answer);
      return true;
    },
    room: pour,
    end(code, retryMs) {
      if (answering) return;
      gathered.push(byeFrame(code, retryMs));
      answer();
    },
    isFresh: () => fresh && !acknowledged,
    gone() {
      if (timer !== null) clearTimeout(timer);
    },
    tick() {},
  };
}

/** Serves `/poll`: `{"frames": [...], "next": "epoch.position"}`, to be asked again with `after=next`. */
export function servePoll(app: NetworkApp, parts: GatewayParts): void {
  app.any('/poll', (res, req) => parts.door.answerOther(res, req, ['GET']));
  app.get('/poll', (res, req) => {
    serveHttpSubscriber(res, req, parts, { kind: 'poll', filler: FILLER, carrierOf: carryPoll });
  });
}
