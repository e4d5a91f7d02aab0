import type { Frame } from '../../protocol/messages.ts';
import { retryDelay } from '../door/admission.ts';
import type { Visit } from '../door/door.ts';
import type { NetworkApp } from '../network/network.ts';
import type { GatewayOptions } from '../options.ts';
import { byeFrame, helloFrame } from './frames.ts';
import type { HttpStream } from './http-stream.ts';
import { createPositionTracker } from './last-position.ts';
import type { GatewayParts } from './parts.ts';
import { type Carrier, type HttpSession, serveHttpSubscriber } from './stream-session.ts';

/** A comment line: keeps proxies from closing a quiet stream, and means nothing to the reader. */
export const COMMENT = ':\n\n';

/** One event; `data` has no line breaks, as JSON has none. */
export const eventOf = (name: string, data: string): string => `event: ${name}\ndata: ${data}\n\n`;

/** Begins a stream of events, and tells its reader when to come back. */
export function beginEvents(stream: HttpStream, { answerHeaders }: Visit, options: GatewayOptions): void {
  stream.begin('200 OK', {
    ...answerHeaders,
    'Content-Type': 'text/event-stream; charset=utf-8',
    'Cache-Control': 'no-store, no-transform',
    // nginx would otherwise hold events back until its buffer is full.
    'X-Accel-Buffering': 'no',
  });
  stream.push(`retry: ${retryDelay(options)}\n\n`);
}

/** The part of an event that is the same for every reader, made once per frame. */
const encoded = new WeakMap<Frame, string>();

function eventText(frame: Frame): string {
  const known = encoded.get(frame);
  if (known !== undefined) return known;
  const text = eventOf(frame.type, frame.text);
  encoded.set(frame, text);
  return text;
}

function carryEvents({ stream, visit, request, uneven, resume }: HttpSession, parts: GatewayParts): Carrier {
  const { options, delivery } = parts;
  const reached = delivery.reached();
  const tracker = createPositionTracker(request.after, reached?.epoch ?? '', uneven);
  let fresh = true;
  let writtenAt = parts.now();

  function begin(): void {
    fresh = false;
    beginEvents(stream, visit, options);
    const at = delivery.reached() ?? reached;
    if (at === null) return;
    stream.push(eventText(helloFrame(options, at)));
  }

  function idLine(frame: Frame): string {
    const move = tracker.move(frame);
    switch (move.kind) {
      case 'keep':
        return '';
      case 'clear':
        return 'id:\n';
      case 'set':
        return `id: ${move.id}\n`;
      default:
        return move satisfies never;
    }
  }

  return {
    carry(frame) {
      if (fresh) begin();
      writtenAt = parts.now();
      return stream.push(idLine(frame) + eventText(frame));
    },
    room: resume,
    end(code, retryMs) {
      stream.push(`retry: ${retryMs}\n${eventText(byeFrame(code, retryMs))}`);
      stream.finish();
    },
    isFresh: () => fresh,
    gone() {},
    tick(now) {
      if (fresh || now - writtenAt < options.pingSeconds * 1000) return;
      writtenAt = now;
      stream.push(COMMENT);
    },
  };
}

/** Serves `/events`: Server-Sent Events (WHATWG HTML, 9.2) of the topics in the query. */
export function serveEvents(app: NetworkApp, parts: GatewayParts): void {
  app.any('/events', (res, req) => parts.door.answerOther(res, req, ['GET']));
  app.get('/events', (res, req) => {
    serveHttpSubscriber(res, req, parts, { kind: 'sse', filler: COMMENT, carrierOf: carryEvents });
  });
}
