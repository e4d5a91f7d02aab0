import type { Socket } from 'socket.io';
import { ProtocolError } from '../protocol/errors.ts';
import type { LegacySession, Sessions } from './session.ts';

/** What a client asked to be called back with; nothing where it did not ask. */
export type AnswerCallback = (answer: Readonly<Record<string, unknown>>) => void;

/** Takes one event of a client: its first argument, whatever that is. */
export type Hear = (event: string, act: (value: unknown, answer: AnswerCallback) => void) => void;

/**
 * Runs what a client sends. A ProtocolError becomes its answer and an `error` event; Socket.IO
 * calls from where any other exception would end the process, so that ends the connection.
 */
export const hearing =
  (socket: Socket, session: LegacySession, sessions: Sessions): Hear =>
  (event, act) => {
    socket.on(event, (...args: readonly unknown[]) => {
      const [first] = args;
      const last = args.at(-1);
      const answer: AnswerCallback = (given) => {
        if (typeof last === 'function') last(given);
      };
      try {
        if (session.alive && !session.closing) act(typeof first === 'function' ? undefined : first, answer);
      } catch (error) {
        if (error instanceof ProtocolError) {
          answer({ ok: false, error: error.message, code: error.code });
          sessions.refuse(session, error);
        } else sessions.fail(session, 'socketio_event', error);
      }
    });
  };
