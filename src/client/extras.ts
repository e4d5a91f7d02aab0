import { ALL_TABLES, type NumberItem, type Snapshot } from '../protocol/messages.ts';
import type { Clock } from './clock.ts';
import { fetchOf, headersOf, refusalOf } from './http.ts';
import type { TopicProgress } from './progress.ts';
import { isFields, readMessage } from './read.ts';
import { shareTransport } from './share.ts';
import type { Table } from './table.ts';
import { type FetchLike, type LinkTarget, NOWHERE } from './transport.ts';
import { type Client, ClientError, type PositionStore } from './types.ts';
import { parsed } from './websocket.ts';

/** What not every page uses, loaded when it is. */
export { olderNumbers, persistPositions, shareTransport };

/** How long after a change positions are written: a busy page must not write at every event. */
const SAVE_MS = 500;

/** The snapshot that a value is; null for anything else. */
function snapshotOf(value: unknown): Snapshot | null {
  const message = readMessage(value);
  return typeof message !== 'string' && message.type === 'snapshot' ? message : null;
}

/**
 * Pages of a table's numbers from before its own list, newest first, from `GET /api/v1/tables/:id/numbers`. Throws
 * ClientError with the server's code, or `malformed`.
 */
async function* olderNumbers(
  target: Pick<LinkTarget, 'base' | 'token'>,
  given: FetchLike | undefined,
  table: Table,
  pageSize: number,
): AsyncGenerator<readonly NumberItem[], void, undefined> {
  const fetch = fetchOf(given);
  if (fetch === null) throw new TypeError('no fetch');
  const known = new Set(table.numeros.map(({ id }) => id));
  const abort = new AbortController();
  const headers = headersOf({ ...target, progress: NOWHERE }, 'application/json');
  try {
    for (let before: string | null = ''; before !== null; ) {
      const cursor: string = before === '' ? '' : `&before=${encodeURIComponent(before)}`;
      const url = `${target.base}/api/v1/tables/${encodeURIComponent(table.id)}/numbers?limit=${pageSize}${cursor}`;
      const response = await fetch(url, { headers, signal: abort.signal, cache: 'no-store' });
      if (!response.ok) {
        const { problem, reason } = await refusalOf(response);
        throw new ClientError('failed', problem ?? reason, table.topic);
      }
      const body = parsed(await response.text());
      const { id: roleta_id, nome: roleta_nome, topic, stale } = table;
      const position = '0'.repeat(22);
      const numeros: unknown = isFields(body) ? body['numeros'] : null;
      // Checked as the snapshot that it would be.
      const page = snapshotOf({ type: 'snapshot', topic, epoch: '', position, roleta_id, roleta_nome, numeros, stale });
      if (page === null || !isFields(body)) throw new ClientError('malformed', 'no page of numbers', table.topic);
      const older = page.numeros.filter(({ id }) => !known.has(id));
      if (older.length > 0) yield older;
      before = typeof body['next'] === 'string' ? body['next'] : null;
    }
  } finally {
    abort.abort();
  }
}

interface PageEvents {
  addEventListener(type: string, listener: () => void): void;
}

const isPage = (value: unknown): value is PageEvents => value instanceof Object && 'addEventListener' in value;

/**
 * Takes up the positions and tables that `store` has of the server at `base`, and keeps them there from now on. What cannot be read
 * is not used: the topics then begin with snapshots, as without a store. The server judges the epoch.
 */
function persistPositions(
  store: PositionStore,
  base: string,
  progress: TopicProgress,
  clock: Clock,
  listen: Client['listen'],
): void {
  const key = `runcash-live ${base}`;
  const restore = (saved: unknown): void => {
    if (!isFields(saved) || !Array.isArray(saved['tables'])) return;
    const moment = { requested: () => null, depthOf: () => 200, isOpen: () => true, inOrder: () => false };
    for (const each of saved['tables']) {
      const snapshot = snapshotOf(each);
      if (snapshot) progress.takeSnapshot({ ...snapshot, stale: true }, moment);
    }
    const all = readMessage({ type: 'subscribed', id: 0, topics: [], epoch: saved['epoch'], position: saved['all'] });
    if (typeof all !== 'string' && all.type === 'subscribed') progress.takeAck(all, [ALL_TABLES], []);
  };

  const save = (): void => {
    const whole = [...progress.states.values()].filter(
      ({ owed, withheld, position, mark }) => owed === null && !withheld && position >= mark && position !== '',
    );
    const tables = whole.map(({ topic }) => progress.known(topic)).filter((known) => known !== null);
    const all = whole.find(({ topic }) => topic === ALL_TABLES)?.position;
    try {
      store.setItem(key, JSON.stringify({ epoch: progress.seen().epoch, all, tables }));
    } catch (error) {
      // A full store costs a snapshot after the next load, and no event before it.
      console.warn('runcash-live: positions cannot be kept', error);
    }
  };

  restore(parsed(store.getItem(key) ?? 'null'));
  let isDue = false;
  listen('message', () => {
    if (isDue) return;
    isDue = true;
    clock.after(SAVE_MS, () => {
      isDue = false;
      save();
    });
  });
  // The last chance before a page is reloaded, closed or frozen.
  const page: unknown = globalThis;
  if (isPage(page)) page.addEventListener('pagehide', save);
}
