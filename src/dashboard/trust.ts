import type { ClientState, LossReason, Table } from '../client/connect.ts';
import { CLOSE } from '../protocol/errors.ts';
import type { Say, Word } from './text.ts';

/** How long the analyser may take for a new number before its state counts as older than the numbers. */
const ANALYSER_MS = 10_000;
/** Clocks of scraper and analyser may differ by so much. */
const CLOCKS_MS = 5_000;

export const lastAt = (table: Table): number | null => {
  const [newest] = table.numeros;
  return newest ? Date.parse(newest.timestamp) : null;
};

/** Whether a table has a signal to act on, confirmed or not. */
export const isSignal = ({ estrategia }: Table): boolean =>
  estrategia?.estado === 'TRIGGER' || estrategia?.estado === 'POST_GALE_NEUTRAL';

export const signalAt = ({ estrategia }: Table): number | null =>
  estrategia?.timestamp ? Date.parse(estrategia.timestamp) : null;

/** The tables with a signal, the newest signal first; those without a time last. */
export const signalsOf = (tables: Iterable<Table>): Table[] =>
  [...tables].filter(isSignal).sort((a, b) => (signalAt(b) ?? 0) - (signalAt(a) ?? 0) || (a.id < b.id ? -1 : 1));

/**
 * Whether nothing says that a table's strategy still holds: there is no live connection, the table is out of date, or
 * numbers came since that the analyser did not answer.
 */
export function isUnconfirmed(table: Table, isLive: boolean, now: number): boolean {
  if (!isLive || table.stale) return true;
  const [number, strategy] = [lastAt(table), signalAt(table)];
  return (
    isSignal(table) &&
    number !== null &&
    strategy !== null &&
    number - strategy > CLOCKS_MS &&
    now - number > ANALYSER_MS
  );
}

const STATES: Readonly<Record<ClientState['name'], Word>> = {
  idle: 'idle',
  connecting: 'connecting',
  live: 'live',
  recovering: 'recovering',
  stale: 'staleState',
  offline: 'offline',
  failed: 'failed',
};

/** The state in a word or two. */
export const stateWords = (state: ClientState, say: Say): string => say(STATES[state.name]);

const LOSSES: Readonly<Record<LossReason, Word>> = {
  closed: 'lossClosed',
  refused: 'lossRefused',
  silence: 'lossSilence',
  wake: 'lossWake',
  no_answer: 'lossSilence',
  malformed: 'lossMalformed',
  interrupted: 'lossInterrupted',
  planned: 'lossPlanned',
  token: 'lossToken',
};

/** Close codes and HTTP statuses that say more than that the connection is gone. */
const CODES: ReadonlyMap<number, Word> = new Map([
  [401, 'codeUnauthorized'],
  [403, 'codeForbidden'],
  [404, 'codeNotFound'],
  [421, 'codeWrongHost'],
  [429, 'codeBusy'],
  [503, 'codeUnavailable'],
  [CLOSE.origin, 'codeForbidden'],
  [CLOSE.authFailed, 'codeUnauthorized'],
  [CLOSE.revoked, 'codeRevoked'],
  [CLOSE.removed, 'codeRemoved'],
  [CLOSE.slowConsumer, 'codeSlow'],
  [CLOSE.overCapacity, 'codeFull'],
  [CLOSE.addressCapacity, 'codeAddress'],
  [CLOSE.flood, 'codeBusy'],
  [CLOSE.silent, 'lossSilence'],
  [CLOSE.tokenExpired, 'codeExpired'],
  [CLOSE.draining, 'lossPlanned'],
  [CLOSE.lifetime, 'lossPlanned'],
]);

/** A close code or HTTP status in words; the number itself where nobody would know more. */
export function codeWords(code: number | null, say: Say): string {
  const word = code === null ? undefined : CODES.get(code);
  if (word !== undefined) return say(word);
  return code === null ? '' : say('codeOther', code);
}

/** Why a connection was lost or is doubted, as a sentence. */
export function lossWords(reason: LossReason | 'feed_stale' | 'feed_down', say: Say): string {
  if (reason === 'feed_down') return say('feedDown');
  return say(reason === 'feed_stale' ? 'feedStale' : LOSSES[reason]);
}

/** The same by the code where it says more; 1006 and its like say less. */
export const lossCause = (code: number | null, reason: LossReason, say: Say): string =>
  code !== null && CODES.has(code) ? codeWords(code, say) : lossWords(reason, say);

/** The reason of a state that the browser makes: the page's policy does not name the server. */
export const BLOCKED = 'blocked';

/** Why the page is not live, as a sentence; '' while it is. `server` is the host that it talks to. */
export function causeOf(state: ClientState, server: string, say: Say): string {
  switch (state.name) {
    case 'live':
      return '';
    case 'connecting':
      return say(state.attempt > 0 ? 'unreachable' : 'connectingTo', server);
    case 'recovering':
      return lossCause(state.code, state.reason, say);
    case 'stale':
      return lossWords(state.reason, say);
    case 'offline':
      return say('noNetwork');
    case 'idle':
      return say('disconnected');
    case 'failed':
      if (state.reason === BLOCKED) return say('serverBlocked', server);
      return codeWords(state.code, say) || say('refusedBecause', state.reason);
    default:
      return state satisfies never;
  }
}

/** An answer of the server that is none of 200. */
export class StatusError extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`HTTP ${status}`);
    this.status = status;
  }
}

export const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));

/** Why the server did not answer a question, as a sentence. */
export function problemWords(problem: Error, say: Say): string {
  if (!(problem instanceof StatusError)) return say('noAnswer');
  if (problem.status === 401) return say('needsAdminKey');
  return CODES.has(problem.status) ? codeWords(problem.status, say) : say('answered', problem.status);
}

/** When the next attempt starts; null while one runs, and where there is none. */
export const retryAtOf = (state: ClientState): number | null =>
  state.name === 'connecting' || state.name === 'recovering' ? state.retryAt : null;
