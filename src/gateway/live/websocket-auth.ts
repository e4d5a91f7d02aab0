import { CLOSE, type CloseCode, ProtocolError } from '../../protocol/errors.ts';
import { type Frame, frameOf, type RequestId } from '../../protocol/messages.ts';
import type { ClientFrame } from '../../protocol/requests.ts';
import { expiredMs, type Grant, OPEN_GRANT } from '../door/access.ts';
import { errorFrame } from './frames.ts';
import type { GatewayParts } from './parts.ts';

/** What the credentials of a connection do to it. */
interface CredentialEvents {
  isAlive(): boolean;
  /** A valid token came, the first one or one that extends. */
  granted(grant: Grant): void;
  reply(frame: Frame): void;
  refuse(error: ProtocolError, id: RequestId | undefined): void;
  close(code: CloseCode): void;
  /** An exception that is this side's defect: the connection ends. */
  fail(where: string, error: unknown): void;
  /** Frames that had to wait for the outcome, in their order. */
  replay(frames: readonly ClientFrame[]): void;
  /** Runs what sends several frames, as one write. */
  batch(act: () => void): void;
}

/** Who a WebSocket speaks for: its token, whether it is being checked, and when it ends. */
export interface SocketCredentials {
  /** What its token allows; null before one was accepted. */
  grant(): Grant | null;
  /** Checks a token; `id` is that of its frame. */
  present(token: string, id: RequestId | undefined): void;
  /** Keeps a frame while a token is being checked; false when none is. The connection's rate bounds how many. */
  defer(frame: ClientFrame): boolean;
  /** Looks at the expiry. */
  tick(): void;
}

export function createCredentials(parts: GatewayParts, address: string, events: CredentialEvents): SocketCredentials {
  const { authenticator, options } = parts;
  let grant: Grant | null = authenticator === null ? OPEN_GRANT : null;
  let warnedOfExpiry = false;
  let checking = 0;
  let deferred: ClientFrame[] = [];

  function accept(fresh: Grant): void {
    if (grant !== null && !sameTables(grant.allowed, fresh.allowed)) {
      // What was sent so far was seen under the old tables; with its positions a new connection goes on without a hole.
      events.close(CLOSE.tablesChanged);
      return;
    }
    events.granted(fresh);
    grant = fresh;
    warnedOfExpiry = false;
    const expires = fresh.expiresMs === null ? null : new Date(fresh.expiresMs).toISOString();
    events.reply(frameOf({ type: 'authenticated', expires }));
  }

  /** A bad first token ends the connection; a bad later one only does not extend it. */
  function reject(error: unknown, id: RequestId | undefined): void {
    const known = error instanceof ProtocolError;
    if (!known) parts.failure('authenticate', error);
    const cause = known ? String(error.cause ?? error.message) : String(error);
    parts.log.info('token_refused', { address, cause });
    events.refuse(known ? error : new ProtocolError('internal', { cause: error }), id);
    // Where the fault is on this side, the token may be good: the client comes back with it.
    if (grant === null) events.close(known && error.code === 'unauthorized' ? CLOSE.authFailed : CLOSE.draining);
  }

  function settle(act: () => void): void {
    checking -= 1;
    if (!events.isAlive()) return;
    events.batch(() => {
      try {
        act();
        if (checking > 0) return;
        const frames = deferred;
        deferred = [];
        events.replay(frames);
      } catch (error) {
        events.fail('authenticated', error);
      }
    });
  }

  return {
    grant: () => grant,
    present(token, id) {
      if (authenticator === null) return;
      checking += 1;
      authenticator.authenticate(token).then(
        (fresh) => settle(() => accept(fresh)),
        (error: unknown) => settle(() => reject(error, id)),
      );
    },
    defer(frame) {
      if (checking > 0) deferred.push(frame);
      return checking > 0;
    },
    tick() {
      const overMs = expiredMs(grant, parts.clock());
      if (overMs > options.authGraceMs) events.close(CLOSE.tokenExpired);
      else if (overMs > 0 && !warnedOfExpiry) {
        warnedOfExpiry = true;
        const message = 'The token expired; send a new one in an auth frame to stay.';
        events.reply(errorFrame(new ProtocolError('unauthorized', { message }), undefined));
      }
    },
  };
}

const sameTables = (a: Grant['allowed'], b: Grant['allowed']): boolean =>
  a === null || b === null ? a === b : a.size === b.size && [...a].every((id) => b.has(id));
