import { ERRORS, type Problem, ProtocolError } from '../protocol/errors.ts';
import {
  ALL_TABLES,
  type Frame,
  frameOf,
  type RequestId,
  type TopicResult,
  tableReference,
  topicOf,
} from '../protocol/messages.ts';
import { type ClusterTime, isPosition, type Position, timeOf } from '../protocol/position.ts';
import type { SubscribeFrame } from '../protocol/requests.ts';
import { canonicalId, type Directory, isSevenDigits, isTableId, type TableId } from '../roulette/table.ts';
import { isIdOf } from './awaited.ts';
import { DEFAULT_HISTORY, type Timeline } from './timeline.ts';

/** One topic of a subscribe, resolved: a table, or every table (`null`). */
export interface Item {
  readonly table: TableId | null;
  /** The text that a client gave as its position, valid or not; undefined when it gave none. */
  readonly after: string | undefined;
  readonly epoch: string | undefined;
  readonly history: number;
  readonly owed: boolean;
  /** The topic as it was asked for, where the client is to be told that it means this table. */
  readonly announced: string | null;
}

export const topicOfItem = (item: Item): string => (item.table === null ? ALL_TABLES : topicOf(item.table));

/** A topic of a subscribe that may come to mean a table, or one more, as it was asked for. */
export interface Asked {
  readonly topic: string;
  readonly reference: string;
  readonly history: number;
  /** The tables that it means now. */
  readonly tables: readonly TableId[];
  readonly isPending: boolean;
}

/** What the topics of a subscribe mean. */
export interface Resolution {
  readonly items: readonly Item[];
  readonly asked: readonly Asked[];
}

/**
 * The tables that a reference means to a connection. Of those that it may not see it learns nothing: what means none
 * but them waits like what means none at all.
 */
export function visibleTo(
  allowed: ReadonlySet<string> | null,
  reference: string,
  directory: Pick<Directory, 'resolve'>,
): readonly TableId[] {
  const tables = directory.resolve(reference);
  return allowed === null ? tables : tables.filter((table) => allowed.has(table));
}

type TopicRequest = Exclude<SubscribeFrame['topics'][number], string>;

/** Whether a reference is an id of seven digits: there is such a table as soon as it is asked for. */
function sevenDigits(reference: string): TableId | null {
  const id = canonicalId(reference);
  return id !== null && isSevenDigits(id) ? id : null;
}

/** The items of one topic, given the tables that it means; `null` is every table. */
function itemsOfTopic(asked: TopicRequest, frame: SubscribeFrame, tables: readonly (TableId | null)[]): Item[] {
  const history = asked.history ?? frame.history ?? DEFAULT_HISTORY;
  // The client has others by this name: of those that it never had a position says little.
  const isOther = asked.topic !== ALL_TABLES && asked.tables !== undefined && asked.tables !== tables.length;
  return tables.map((table) => ({
    table,
    after: asked.after ?? frame.after,
    epoch: asked.epoch ?? frame.epoch,
    history: table === null ? Math.min(history, DEFAULT_HISTORY) : history,
    owed: asked.owed ?? false,
    announced: isOther ? asked.topic : null,
  }));
}

/**
 * Says what the topics of a subscribe mean: what is not known by now is waited for. Throws ProtocolError: `unknown_topic`
 * (it names nothing), `forbidden` (`allowed` does not have that id). Under `allowed`, all tables are each of those.
 */
export function resolveTopics(
  frame: SubscribeFrame,
  directory: Pick<Directory, 'resolve' | 'has'>,
  allowed: ReadonlySet<string> | null,
): Resolution {
  const items = new Map<string, Item>();
  const asked = new Map<string, Asked>();
  const unknown: Problem[] = [];
  const forbidden: Problem[] = [];
  const all = allowed === null ? [null] : [...allowed].filter(isTableId);
  frame.topics.forEach((entry, at) => {
    const request = typeof entry === 'string' ? { topic: entry } : entry;
    const { topic } = request;
    const reference = tableReference(topic);
    if (reference === null || (reference === '*' && topic !== ALL_TABLES)) {
      unknown.push({ path: `topics.${at}`, message: `"${topic}" is no topic` });
      return;
    }
    const id = sevenDigits(reference);
    if (id !== null && allowed !== null && !allowed.has(id)) {
      forbidden.push({ path: `topics.${at}`, message: `not allowed: ${topicOf(id)}` });
      return;
    }
    const isAll = topic === ALL_TABLES;
    const tables = isAll ? [] : visibleTo(allowed, reference, directory);
    for (const item of itemsOfTopic(request, frame, isAll ? all : tables)) items.set(topicOfItem(item), item);
    const isPending = !tables.some((table) => directory.has(table));
    if (isAll || (!isPending && tables.some((table) => isIdOf(reference, table)))) return;
    asked.set(topic, {
      topic,
      reference,
      history: request.history ?? frame.history ?? DEFAULT_HISTORY,
      tables,
      isPending,
    });
  });
  if (unknown.length > 0) throw new ProtocolError('unknown_topic', { problems: unknown });
  if (forbidden.length > 0) throw new ProtocolError('forbidden', { problems: forbidden });
  return { items: [...items.values()], asked: [...asked.values()] };
}

/** The frame that says what a topic came to mean. */
export const resolvedFrame = (asked: string, table: TableId, name: string): Frame =>
  frameOf({ type: 'resolved', topic: topicOf(table), roleta_id: table, roleta_nome: name, asked });

/** What subscribers are served from at this moment. */
export interface Served {
  readonly timeline: Timeline;
  readonly delivered: Position;
  readonly stale: boolean;
  /** What everybody was told of the feed last, for those who come later; null while all is well. */
  readonly status: Frame | null;
  /** The majority time as last asked, and when the question was put (monotonic ms); null when Mongo cannot be asked. */
  readonly majority: { readonly time: ClusterTime; readonly askedMs: number } | null;
}

/** How far beyond the database's own time a position must lie to be no position of this database. */
const FUTURE_SECONDS = 5;

/** What a subscribe is measured against. Times are of a monotonic clock, in ms. */
interface WaitView extends Pick<Served, 'delivered' | 'majority'> {
  readonly epoch: string;
  readonly nowMs: number;
  readonly catchUpMs: number;
}

/** What of a subscribe says whether it must wait. */
interface Arrived {
  readonly arrivedMs: number;
  readonly items: readonly Item[];
  readonly seen: string | undefined;
  /** The epoch that `seen` belongs to. */
  readonly epoch: string | undefined;
}

/** The highest position that the client says it ever had, if any is well formed. */
function highestOf({ items, seen }: Arrived): Position | null {
  let highest: Position | null = null;
  for (const text of [seen, ...items.map((item) => item.after)]) {
    if (isPosition(text) && (highest === null || text > highest)) highest = text;
  }
  return highest;
}

/**
 * Whether a subscribe must wait for this instance to catch up: `future` when its position is of no such database,
 * `behind` when it waited in vain. Epochs are compared only after waiting, since a lagging instance may not know the
 * newest yet.
 */
export function admit(request: Arrived, view: WaitView): 'wait' | 'serve' | 'future' | 'behind' {
  const highest = highestOf(request);
  if (highest === null || highest <= view.delivered) return 'serve';
  const { majority } = view;
  // Asked now: an old answer would call a client that is a few seconds ahead a forger.
  const fresh = majority !== null && majority.askedMs >= request.arrivedMs;
  if (fresh && timeOf(highest).t > majority.time.t + FUTURE_SECONDS) return 'future';
  if (view.nowMs - request.arrivedMs < view.catchUpMs) return 'wait';
  const isOther = (epoch: string | undefined): boolean => epoch !== undefined && epoch !== view.epoch;
  const other =
    request.items.some(({ after, epoch }) => after !== undefined && isOther(epoch)) ||
    (request.seen !== undefined && isOther(request.epoch));
  return other && fresh ? 'serve' : 'behind';
}

/** The frame that says why a request, or what waited (id null), is not served. */
export function refusedFrame(id: RequestId | null, { code, message, problems }: ProtocolError): Frame {
  const problem = problems.length === 0 ? {} : { problems };
  const request = id === null ? {} : { id };
  return frameOf({ type: 'error', ...request, code, message, retry: ERRORS[code].retry, ...problem });
}

/** How topics were taken up, with those that mean no table yet as they were asked for. */
export function withPending(replayed: readonly TopicResult[], asked: readonly Asked[]): TopicResult[] {
  const pending = asked.filter(({ isPending }) => isPending);
  const begun = new Set(pending.flatMap(({ tables }) => tables.map(topicOf)));
  const unknown = pending.filter(({ tables }) => tables.length === 0);
  return [
    ...replayed.map((result): TopicResult => (begun.has(result.topic) ? { ...result, pending: true } : result)),
    ...unknown.map(({ topic }): TopicResult => ({ topic, recovered: false, reason: 'new', pending: true })),
  ];
}
