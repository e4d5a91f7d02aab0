import { isFields } from './read.ts';
import type { FetchLike, LinkClosed, LinkTarget, ResponseLike, SubscribeRequest } from './transport.ts';
import { parsed } from './websocket.ts';

/** What one poll brought. */
export type PollAnswer = { readonly frames: readonly unknown[] } | { readonly refused: LinkClosed };

const isFetch = (value: unknown): value is FetchLike => typeof value === 'function';

/** The fetch that was given, or the platform's; null where there is none. */
export function fetchOf(given?: FetchLike): FetchLike | null {
  const found: unknown = given ?? Reflect.get(globalThis, 'fetch');
  if (!isFetch(found)) return null;
  // Browsers refuse to run fetch as a method of anything but the window.
  return (url, init) => found(url, init);
}

/** The address of a subscribe: topics are parted by commas, each escaped; they share one position, the lowest. */
export function addressOf(
  base: string,
  path: string,
  { topics, epoch, seen }: SubscribeRequest,
  waitS?: number,
): string {
  const names = topics.map(({ topic }) => encodeURIComponent(topic));
  const parts = [`topics=${names.join(',')}`, `history=${Math.max(...topics.map(({ history }) => history))}`];
  const [after] = topics.map((item) => item.after ?? '').sort();
  const owed = topics.some((item) => item.owed) ? '~' : '';
  const uneven = topics.flatMap(({ tables = 1 }, at) => (tables === 1 ? [] : [`${at}:${tables}`]));
  const counts = uneven.length === 0 ? '' : `!${uneven.join()}`;
  if (epoch !== undefined && after) parts.push(`after=${encodeURIComponent(`${epoch}.${after}${owed}${counts}`)}`);
  if (epoch !== undefined && seen) parts.push(`seen=${encodeURIComponent(`${epoch}.${seen}`)}`);
  if (waitS !== undefined) parts.push(`wait=${waitS}`);
  return `${base}${path}?${parts.join('&')}`;
}

/** Request headers; `cache: no-store` is set beside them, since a cached answer would be an old position. */
export const headersOf = (target: LinkTarget, accept: string): Record<string, string> => ({
  accept,
  ...(target.token === null ? {} : { authorization: `Bearer ${target.token}` }),
});

/** What a refused request means: its status, and the code of its problem+json body when the server itself answered. */
export async function refusalOf(response: ResponseLike): Promise<LinkClosed> {
  const { status } = response;
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  const wait = Number.isFinite(seconds) ? { retryMs: seconds * 1000 } : {};
  const problem = parsed(await response.text());
  // Otherwise some proxy speaks, not the server.
  if (!isFields(problem) || typeof problem['code'] !== 'string') {
    return { code: status, reason: `HTTP ${status}`, foreign: true, ...wait };
  }
  const words = problem['detail'] ?? problem['title'];
  const asked = problem['retry_ms'];
  return {
    code: status,
    reason: typeof words === 'string' ? words : problem['code'],
    problem: problem['code'],
    ...wait,
    ...(typeof asked === 'number' ? { retryMs: asked } : {}),
  };
}

/** The end of a link whose request failed before or during its answer. */
export const brokenBy = (error: unknown): LinkClosed => ({
  code: null,
  reason: error instanceof Error ? error.message : String(error),
});

/** One request to `<base>/poll`. Rejects when the network or the signal ends it. */
export async function pollOnce(
  fetch: FetchLike,
  target: LinkTarget,
  request: SubscribeRequest,
  waitS: number,
  signal: AbortSignal,
): Promise<PollAnswer> {
  const response = await fetch(addressOf(target.base, '/poll', request, waitS), {
    headers: headersOf(target, 'application/json'),
    signal,
    cache: 'no-store',
  });
  if (!response.ok) return { refused: await refusalOf(response) };
  const body = parsed(await response.text());
  const frames = isFields(body) ? body['frames'] : body;
  // No server of ours answers a poll with anything else.
  if (!Array.isArray(frames)) return { refused: { code: response.status, reason: 'no frames', foreign: true } };
  return { frames };
}
