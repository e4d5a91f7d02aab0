import type { Binary } from 'bson';
import type { Session } from './session.ts';

export interface Sessions {
  readonly size: number;
  /** Finds or begins a session of that user; when there are too many, the one that was idle longest is forgotten. */
  use(id: Binary, uid: Binary): Session;
  find(id: Binary, uid: Binary): Session | undefined;
  end(id: Binary, uid: Binary): void;
  all(): Iterable<Session>;
  /** Ends the sessions that were idle for longer than the timeout. */
  expire(now: number): void;
}

/** `logicalSessionTimeoutMinutes` of hello. */
export const SESSION_TIMEOUT_MINUTES = 30;
const MAX_SESSIONS = 100_000;
/** A session that was used less than this ago counts as used just now. */
const ORDER_MS = 1_000;

/** Two users may have sessions of the same id. */
const keyOf = (id: Binary, uid: Binary): string => id.toString('hex') + uid.toString('hex');

export function createSessions(): Sessions {
  const sessions = new Map<string, Session>();
  const close = (session: Session) => {
    session.transaction?.abort();
    sessions.delete(session.key);
  };
  const forgetOldest = () => {
    for (const session of sessions.values()) {
      if (session.transaction?.state === 'active') continue;
      sessions.delete(session.key);
      return;
    }
  };
  return {
    get size() {
      return sessions.size;
    },
    use(id, uid) {
      const key = keyOf(id, uid);
      const now = Date.now();
      let session = sessions.get(key);
      if (session !== undefined && now - session.lastUse < ORDER_MS) return session;
      if (session === undefined) {
        if (sessions.size >= MAX_SESSIONS) forgetOldest();
        session = { key, lsid: { id, uid }, lastUse: 0, txnNumber: -1n, statements: new Map(), transaction: undefined };
      } else sessions.delete(key);
      // The map's order is the order of last use, near enough: moving a session for every command costs more than the rest.
      sessions.set(key, session);
      session.lastUse = now;
      return session;
    },
    find: (id, uid) => sessions.get(keyOf(id, uid)),
    end(id, uid) {
      const session = sessions.get(keyOf(id, uid));
      if (session !== undefined) close(session);
    },
    all: () => sessions.values(),
    expire(now) {
      for (const session of [...sessions.values()]) {
        if (now - session.lastUse > SESSION_TIMEOUT_MINUTES * 60_000) close(session);
      }
    },
  };
}
