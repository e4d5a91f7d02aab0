import { ProtocolError } from '../../protocol/errors.ts';
import { problemsOf, type SubscribeFrame, subscribeFrame } from '../../protocol/requests.ts';

/** What `id:` fields, `after` and `next` carry: the position of a reader of all its topics. */
export interface LastPosition {
  readonly epoch: string | null;
  readonly position: string;
  /** As written with `~` behind it: some topic was reset and its snapshot is still to come. */
  readonly owed: boolean;
  /** As written with `!0:2,3:0` at the end: of these topics of the address the reader has so many tables, not one. */
  readonly uneven: ReadonlyMap<number, number>;
}

const UNEVEN = /!(\d{1,3}:\d{1,4}(?:,\d{1,3}:\d{1,4})*)$/;

/** Reads `epoch.position` and what may follow it. Any text gives one: what cannot be served gets a snapshot. */
export function parseLastPosition(text: string): LastPosition {
  const counts = UNEVEN.exec(text)?.[1] ?? '';
  const placed = counts === '' ? text : text.slice(0, -counts.length - 1);
  const owed = placed.endsWith('~');
  const bare = owed ? placed.slice(0, -1) : placed;
  const dot = bare.lastIndexOf('.');
  const pairs = counts === '' ? [] : counts.split(',').map((pair) => pair.split(':').map(Number));
  const uneven = new Map(pairs.map(([at = 0, tables = 0]) => [at, tables]));
  return dot < 0
    ? { epoch: null, position: bare, owed, uneven }
    : { epoch: bare.slice(0, dot), position: bare.slice(dot + 1), owed, uneven };
}

const NOT_UNEVEN: LastPosition['uneven'] = new Map();

export function formatLastPosition(epoch: string, position: string, owed: boolean, uneven = NOT_UNEVEN): string {
  const counts = uneven.size === 0 ? '' : `!${[...uneven].map((pair) => pair.join(':')).join()}`;
  return `${epoch}.${position}${owed ? '~' : ''}${counts}`;
}

/** By place in a request: what a subscriber says of its topics. */
export function unevenIn({ topics }: SubscribeFrame, tables: ReadonlyMap<string, number>): LastPosition['uneven'] {
  if (tables.size === 0) return NOT_UNEVEN;
  const places = topics.map((entry, at) => ({
    at,
    count: tables.get(typeof entry === 'string' ? entry : entry.topic),
  }));
  return new Map(places.flatMap(({ at, count }): [number, number][] => (count === undefined ? [] : [[at, count]])));
}

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
    topics: topicsOf(rawQuery).map((topic, at) => ({
      topic,
      ...resume,
      // Only who comes back has tables of a name.
      ...(after === null ? {} : { tables: after.uneven.get(at) ?? 1 }),
    })),
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
