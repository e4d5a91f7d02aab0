import { ProtocolError } from '../../protocol/errors.ts';
import { problemsOf, type SubscribeFrame, subscribeFrame } from '../../protocol/requests.ts';

/** What `id:` fields, `after` and `next` carry: where a reader of all its topics stands. */
export interface LastPosition {
  readonly epoch: string | null;
  readonly position: string;
  /** As written with `~` at its end: some topic was reset and its snapshot is still to come. */
  readonly owed: boolean;
}

/** Reads `epoch.position` with or without `~`. Any text gives a stand: what cannot be served gets a snapshot. */
export function parseLastPosition(text: string): LastPosition {
  const owed = text.endsWith('~');
  const bare = owed ? text.slice(0, -1) : text;
  const dot = bare.lastIndexOf('.');
  return dot < 0
    ? { epoch: null, position: bare, owed }
    : { epoch: bare.slice(0, dot), position: bare.slice(dot + 1), owed };
}

export const formatLastPosition = (epoch: string, position: string, owed: boolean): string =>
  `${epoch}.${position}${owed ? '~' : ''}`;

/** `%` that begins no escape stays as it is. */
function decode(text: string): string {
  const spaced = text.replaceAll('+', ' ');
  try {
    return decodeURIComponent(spaced);
  } catch {
    // URIError: the text is then an unknown topic, which is answered in words.
    return spaced;
  }
}

/** Topics are parted by commas before they are decoded, so that a name may hold an escaped one. */
function topicsOf(rawQuery: string): string[] {
  return rawQuery
    .split('&')
    .filter((part) => part.startsWith('topics='))
    .flatMap((part) => part.slice('topics='.length).split(','))
    .map(decode)
    .filter((topic) => topic !== '');
}

/** A number from the query; NaN, which no bound accepts, when it is none. */
function wholeNumber(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === '') return undefined;
  return /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
}

/** The one subscribe of an event stream or a poll. */
export interface TopicsQuery {
  readonly frame: SubscribeFrame;
  readonly after: LastPosition | null;
}

/**
 * `topics` (required), `after` and `seen` (`epoch.position`), `history`. `lastEventId` is the header of that name; those
 * who cannot set one (polyfills, clients of Mercure) send it in the query, as `lastEventId` or `lastEventID`. Both go
 * before `after`, which a browser keeps repeating. Throws ProtocolError `invalid` with every problem.
 */
export function parseTopicsQuery(rawQuery: string, query: URLSearchParams, lastEventId: string): TopicsQuery {
  const given = [lastEventId, query.get('lastEventId'), query.get('lastEventID'), query.get('after')];
  const text = given.find((one) => one !== null && one !== '') ?? '';
  const after = text === '' ? null : parseLastPosition(text);
  const seenText = query.get('seen') ?? '';
  const seen = seenText === '' ? after : parseLastPosition(seenText);
  const resume =
    after === null
      ? {}
      : {
          after: after.position,
          ...(after.epoch === null ? {} : { epoch: after.epoch }),
          ...(after.owed ? { owed: true } : {}),
        };
  const history = wholeNumber(query, 'history');
  const parsed = subscribeFrame.safeParse({
    type: 'subscribe',
    id: 1,
    topics: topicsOf(rawQuery).map((topic) => ({ topic, ...resume })),
    ...(history === undefined ? {} : { history }),
    ...(seen === null ? {} : { seen: seen.position }),
    // The epoch that `seen` belongs to; each topic says its own.
    ...(seen === null || seen.epoch === null ? {} : { epoch: seen.epoch }),
  });
  if (!parsed.success) throw new ProtocolError('invalid', { problems: problemsOf(parsed.error) });
  return { frame: parsed.data, after };
}

/** Seconds that a poll may wait: `wait`, at most `max`, which is also the default's bound. Throws `invalid`. */
export function parseWait(query: URLSearchParams, max: number): number {
  const wait = wholeNumber(query, 'wait') ?? 25;
  if (!Number.isNaN(wait)) return Math.min(wait, max);
  throw new ProtocolError('invalid', { problems: [{ path: 'wait', message: 'must be a whole number of seconds' }] });
}
