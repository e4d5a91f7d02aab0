import { isFields } from './read.ts';
import type { FetchLike, LinkClosed, LinkTarget, Query, ResponseLike } from './transport.ts';

const isFetch = (value: unknown): value is FetchLike => typeof value === 'function';

/** The fetch that was given, or the platform's; null where there is none. */
export function fetchOf(given?: FetchLike): FetchLike | null {
  const found: unknown = given ?? Reflect.get(globalThis, 'fetch');
  if (!isFetch(found)) return null;
  // Browsers refuse to run fetch as a method of anything but the window.
  return (url, init) => found(url, init);
}

/** The address of a query; topics are parted by commas, each escaped. */
export function addressOf(base: string, path: string, query: Query, wait?: number): string {
  const parts = [`topics=${query.topics.map(encodeURIComponent).join(',')}`, `history=${query.history}`];
  if (query.after !== null) parts.push(`after=${encodeURIComponent(query.after)}`);
  if (query.seen !== null) parts.push(`seen=${encodeURIComponent(query.seen)}`);
  if (wait !== undefined) parts.push(`wait=${wait}`);
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
  let problem: unknown;
  try {
    problem = JSON.parse(await response.text());
  } catch {
    // No JSON: some proxy speaks, not the server. What follows says so.
    problem = null;
  }
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
