import { z } from 'zod';
import { SKIP_REASONS } from '../protocol/delivery.ts';
import { eventFields, numberItem, strategyItem } from '../protocol/message-schemas.ts';
import { type Frame, type NumberItem, RESET_REASONS, type StrategyItem, topicOf } from '../protocol/messages.ts';
import { isPosition, type Position } from '../protocol/position.ts';
import { isTableId, type TableId } from '../roulette/table.ts';
import type { SetTimes } from './connection.ts';
import type { Entry, EntryPlace } from './timeline.ts';

/**
 * What passes between a feed and its replicas: messages of lines. A line is a letter and its fields with tabs between
 * them; JSON text has neither tabs nor line feeds of its own, so that an event's frame goes in as it is.
 */

const position = z.custom<Position>(isPosition);
const table = z.custom<TableId>((value) => typeof value === 'string' && isTableId(value));
const time = z.object({ t: z.number().int(), i: z.number().int() });
const place = z.object({ position, committedMs: z.number() });
const resetReason = z.enum(RESET_REASONS);

/** Everything of a table but its numbers. */
export interface TableHead {
  readonly table: TableId;
  readonly name: string;
  /** The names it is found by, the current one last. */
  readonly names: readonly string[];
  /** Whether anything is stored of it. */
  readonly stored: boolean;
  readonly doubleZero: boolean;
  readonly strategy: StrategyItem | null;
}

const tableHead = z.object({
  table,
  name: z.string(),
  names: z.array(z.string()),
  stored: z.boolean(),
  doubleZero: z.boolean(),
  strategy: strategyItem.loose().nullable(),
}) satisfies z.ZodType<TableHead>;

/** Every entry but a frame, which has a line of its own. */
const entry = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('floor'), table, reason: resetReason }),
  z.object({ kind: z.literal('backfill'), table, ageMs: z.number() }),
  z.object({ kind: z.literal('all_floors'), reason: resetReason }),
  z.object({ kind: z.literal('added'), table, name: z.string() }),
  z.object({ kind: z.literal('named'), table, name: z.string() }),
  z.object({ kind: z.literal('skipped'), reason: z.enum(SKIP_REASONS), ns: z.string(), id: z.string() }),
  z.object({ kind: z.literal('vanished') }),
  z.object({ kind: z.literal('partial'), partial: z.array(table), looked: z.array(table) }),
]);

/** What happened to the feed apart from what it delivers. */
const notice = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('phase'),
    phase: z.enum(['connecting', 'rewinding', 'live', 'degraded', 'stopped']),
    reason: z.string().nullable(),
  }),
  z.object({ kind: z.literal('connected'), version: z.string() }),
  z.object({ kind: z.literal('fresh'), reason: resetReason, words: z.string() }),
  z.object({ kind: z.literal('mended'), tables: z.array(table).readonly(), words: z.string() }),
  z.object({ kind: z.literal('oversized'), ids: z.array(z.string()).readonly() }),
  z.object({ kind: z.literal('reopened'), name: z.string(), words: z.string() }),
]);
export type Notice = z.infer<typeof notice>;

/** What a copy begins with. */
const copyHead = z.object({
  /** Of this format; another one is refused. */
  version: z.literal(2),
  epoch: z.string(),
  /** Everything up to here is in the copy. */
  delivered: position,
  /** Where the replica stood, when it goes on from there: the events follow from here on. Null: all of the ring does. */
  from: position.nullable(),
  /** The ring's floor, the tables' own, and that of `Timeline.vanished`. */
  floor: position,
  floors: z.array(z.tuple([table, position])),
  /** Where tables appeared that were not there from the beginning. */
  births: z.array(z.tuple([table, position])),
  vanished: position,
  partial: z.array(table),
});
export type CopyHead = z.infer<typeof copyHead>;

/**
 * What a replica says: its position, once; then again and again a question for the majority time, and whether anybody
 * listens to it when that has changed.
 */
const request = z.discriminatedUnion('type', [
  z.object({ type: z.literal('follow'), epoch: z.string().nullable(), position: position.nullable() }),
  z.object({ type: z.literal('ask'), askedMs: z.number() }),
  z.object({ type: z.literal('heard'), heard: z.boolean() }),
]);
export type ReplicaRequest = z.infer<typeof request>;

/** An answer to a question: the times of the set were asked `ageMs` before; null when it cannot be asked. */
const answer = z.object({
  askedMs: z.number(),
  ageMs: z.number(),
  times: z.object({ majority: time.nullable(), last: time.nullable() }).nullable(),
});
interface TimesAnswer {
  readonly askedMs: number;
  readonly ageMs: number;
  readonly times: SetTimes | null;
}

export type WireLine =
  | { readonly kind: 'entry'; readonly entry: Entry; readonly place: EntryPlace }
  | { readonly kind: 'head'; readonly head: TableHead }
  /** The visible numbers of a table as a JSON array. */
  | { readonly kind: 'numbers'; readonly table: TableId; readonly text: string }
  | { readonly kind: 'delivered'; readonly position: Position }
  | { readonly kind: 'notice'; readonly notice: Notice }
  | { readonly kind: 'copy'; readonly head: CopyHead }
  | { readonly kind: 'copied' }
  | { readonly kind: 'meta' }
  | { readonly kind: 'answer'; readonly answer: TimesAnswer };

const json = (letter: string, value: unknown): string => `${letter}\t${JSON.stringify(value)}`;

/** Of a frame, what it is beside its text: the newest of its table (1), a suspect (2). */
const flagsOf = ({ newest, frame }: Extract<Entry, { kind: 'frame' }>): number =>
  (newest ? 1 : 0) + (frame.suspect ? 2 : 0);

export const entryLine = (taken: Entry, at: EntryPlace): string =>
  taken.kind === 'frame'
    ? `e\t${taken.frame.type}\t${taken.table}\t${at.position}\t${at.committedMs}\t${flagsOf(taken)}\t${taken.frame.text}`
    : json('x', [taken, at]);
export const headLine = (head: TableHead): string => json('h', head);
export const numbersLine = (of: TableId, numbers: readonly NumberItem[]): string =>
  `n\t${of}\t${JSON.stringify(numbers)}`;
export const deliveredLine = (at: Position): string => `d\t${at}`;
export const noticeLine = (said: Notice): string => json('s', said);
export const copyLine = (head: CopyHead): string => json('c', head);
export const COPIED_LINE = 'z';
export const META_LINE = 'm';
export const answerLine = (said: TimesAnswer): string => json('a', said);

const EVENTS: ReadonlySet<string> = new Set<Frame['type']>([
  'new_number',
  'number_corrected',
  'number_removed',
  'strategy_update',
]);
const isEventType = (type: string): type is Frame['type'] => EVENTS.has(type);

function frameLine([, type = '', of = '', at = '', committed, flags, text = '']: readonly string[]): WireLine {
  if (!isEventType(type) || !isTableId(of) || !isPosition(at)) throw new TypeError('a malformed event');
  const suspect = (Number(flags) & 2) > 0 ? ({ suspect: true } as const) : {};
  const frame = { type, text, topic: topicOf(of), position: at, epoch: null, ...suspect };
  const committedMs = Number(committed);
  return {
    kind: 'entry',
    entry: { kind: 'frame', table: of, newest: (Number(flags) & 1) > 0, frame },
    place: { position: at, committedMs },
  };
}

/** Reads a line. Throws when it is none that this version knows. */
export function readLine(line: string): WireLine {
  const fields = line.split('\t');
  const [letter, first = '', second = ''] = fields;
  switch (letter) {
    case 'e':
      return frameLine(fields);
    case 'x': {
      const [taken, at] = placedEntry.parse(JSON.parse(first));
      return { kind: 'entry', entry: taken, place: at };
    }
    case 'h':
      return { kind: 'head', head: tableHead.parse(JSON.parse(first)) };
    case 'n':
      return { kind: 'numbers', table: table.parse(first), text: second };
    case 'd':
      return { kind: 'delivered', position: position.parse(first) };
    case 's':
      return { kind: 'notice', notice: notice.parse(JSON.parse(first)) };
    case 'c':
      return { kind: 'copy', head: copyHead.parse(JSON.parse(first)) };
    case 'z':
      return { kind: 'copied' };
    case 'm':
      return { kind: 'meta' };
    case 'a':
      return { kind: 'answer', answer: answer.parse(JSON.parse(first)) };
    default:
      throw new TypeError(`an unknown line: ${line.slice(0, 40)}`);
  }
}

/** Reads what a replica says. Throws when it is something else. */
export const readRequest = (text: string): ReplicaRequest => request.parse(JSON.parse(text));

/** The fields of a frame that no snapshot has in an item. EXTRA_FIELDS takes none of these names. */
const ENVELOPE: ReadonlySet<string> = new Set(['type', ...Object.keys(eventFields)]);

/** The rest of a frame: an item as a snapshot has it. */
const itemIn = (text: string): unknown =>
  JSON.parse(text, (key, value: unknown) => (ENVELOPE.has(key) ? undefined : value));

/** Built once: a schema is compiled by its first use. */
const looseNumber = numberItem.loose();
const looseNumbers = z.array(looseNumber);
const looseStrategy = strategyItem.loose();
const placedEntry = z.tuple([entry, place]);

/** The number that a `new_number` frame tells of. */
export const numberIn = (text: string): NumberItem => looseNumber.parse(itemIn(text));
/** The visible numbers of a `numbers` line. */
export const numbersIn = (text: string): NumberItem[] => looseNumbers.parse(JSON.parse(text));
/** The strategy that a `strategy_update` frame tells of. */
export const strategyIn = (text: string): StrategyItem => looseStrategy.parse(itemIn(text));
