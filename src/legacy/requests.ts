import type { Socket } from 'socket.io';
import { ProtocolError } from '../protocol/errors.ts';
import type { LegacySession, Sessions } from './session.ts';

/** What a client asked about, in whichever of the shapes that first clients sent. */
export interface TopicAsked {
  /** A name, an id or a UUID, not resolved yet. */
  readonly reference: string;
  /** `epoch.position` of its own, where this client gives one. */
  readonly after: string | null;
}

/** Ids go first: names are not unique. */
const FIELDS = ['roleta_id', 'roletaId', 'id', 'roleta_nome', 'roletaNome', 'nome', 'name'] as const;

const MAX_CHARS = 200;

/** Text that may be a reference; null for everything else. Numbers are ids. */
export function referenceOf(value: unknown): string | null {
  const text = typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value;
  if (typeof text !== 'string') return null;
  const trimmed = text.trim();
  return trimmed === '' || trimmed.length > MAX_CHARS ? null : trimmed;
}

/** A field of whatever a client sent; undefined where there is none. */
const fieldOf = (value: object, name: string): unknown =>
  Object.hasOwn(value, name) ? Object.getOwnPropertyDescriptor(value, name)?.value : undefined;

/** `'Roulette'`, `2010165`, `{roleta_nome}`, `{roletaId}` and the like; null when it names nothing. */
export function askedOf(value: unknown): TopicAsked | null {
  if (typeof value !== 'object' || value === null) {
    const reference = referenceOf(value);
    return reference === null ? null : { reference, after: null };
  }
  for (const name of FIELDS) {
    const reference = referenceOf(fieldOf(value, name));
    if (reference === null) continue;
    return { reference, after: textOf(fieldOf(value, 'after')) };
  }
  return null;
}

/** A text of bounded length, or null. */
export const textOf = (value: unknown): string | null =>
  typeof value === 'string' && value.length <= MAX_CHARS ? value : null;

/** A field of the handshake's `auth`, which may be anything. */
export const authField = (auth: unknown, name: string): unknown =>
  typeof auth === 'object' && auth !== null ? fieldOf(auth, name) : undefined;

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
