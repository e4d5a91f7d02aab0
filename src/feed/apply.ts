import type { Position } from '../protocol/position.ts';
import { isBackfill, type NumberDocument, newNumber, numberCorrected, numberRemoved } from '../roulette/number.ts';
import { applyUpdateDescription } from '../roulette/patch.ts';
import type { Source } from '../roulette/source.ts';
import { type StoredStrategy, sameStrategy, strategyUpdate } from '../roulette/strategy.ts';
import type { TableId } from '../roulette/table.ts';
import type { Change, ChangeOf, Fields, Namespace } from './change.ts';
import {
  fieldsOf,
  movesTable,
  namedTable,
  REREAD,
  type StateDocument,
  touchedFields,
  type Unknowns,
} from './document.ts';
import type { Documents } from './documents.ts';
import {
  allFloors,
  type Doing,
  floorOf,
  floorsOf,
  type Outcome,
  RULES,
  type Rule,
  skipped,
  type When,
} from './outcome.ts';
import { VISIBLE } from './table-state.ts';

function numberEvent(
  documents: Documents,
  build: typeof newNumber | typeof numberCorrected,
  { table, number }: NumberDocument,
  suspect: boolean,
  position: Position,
  newest = false,
): Outcome {
  const name = number.name ?? documents.nameOf(table);
  return { kind: 'event', table, newest, build: (prev) => build(number, suspect, { position, prev, name }) };
}

/** Takes in a number, and says what that means for its table; older than `liveMaxAgeMs` at its commit it is no event. */
function insertNumber(
  documents: Documents,
  document: NumberDocument,
  { position, time }: Pick<Change, 'position' | 'time'>,
  liveMaxAgeMs: number,
): Outcome[] {
  const { table, number } = document;
  const kept = documents.place(document);
  const committedMs = time.t * 1000;
  if (isBackfill(number.timestampMs, committedMs, liveMaxAgeMs)) {
    return [{ kind: 'backfill', table, ageMs: committedMs - number.timestampMs }];
  }
  const at = kept ? documents.rank(document) : -1;
  // Behind the newest that every instance keeps they may keep different ones, so that none compares there.
  const suspect = at >= 0 && at < VISIBLE ? documents.isMarked(table, at, at + 1) : false;
  if (suspect === undefined) return [floorOf(table, 'unknown')];
  const event = numberEvent(documents, newNumber, document, suspect, position, at === 0);
  // What came in between is what the one above it is compared with from now on, and no frame tells that.
  const isBetween = at > 0 && at <= VISIBLE;
  const isAboveChanged =
    isBetween && documents.isMarked(table, at - 1, at) !== documents.isMarked(table, at - 1, at + 1);
  return isAboveChanged ? [event, floorOf(table, 'unknown')] : [event];
}

/** A number says something else now, or nothing that can be read (`next` null). */
function changeNumber(
  documents: Documents,
  old: NumberDocument,
  next: NumberDocument | null,
  rule: Rule,
  position: Position,
): Outcome[] {
  const { table } = old;
  const marks = documents.marks(table);
  const from = documents.displace(old);
  const kept = next !== null && documents.place(next);
  if (next !== null && next.table !== table) return floorsOf([next.table, table], 'unknown');
  if (rule !== 'frame') return [floorOf(table, 'unknown')];
  const to = next === null || !kept ? -1 : documents.rank(next);
  const wasVisible = from >= 0 && from < VISIBLE;
  const isVisible = to >= 0 && to < VISIBLE;
  if (!wasVisible && !isVisible) return [];
  // It leaves what subscribers see without being gone: no frame says that.
  if (next !== null && !isVisible) return [floorOf(table, 'unknown')];
  // Another number is marked now, or is not any more, because of what is below it: no frame says that either.
  const others = [...documents.marks(table)].some(([other, mark]) => marks.has(other) && marks.get(other) !== mark);
  const rest = others ? [floorOf(table, 'unknown')] : [];
  if (next === null) {
    const name = old.number.name ?? documents.nameOf(table);
    const build = (prev: Position | null) => numberRemoved(old.number, { position, prev, name });
    return [{ kind: 'event', table, newest: false, build }, ...rest];
  }
  const suspect = documents.isMarked(table, to, to + 1);
  if (suspect === undefined) return [floorOf(table, 'unknown')];
  return [numberEvent(documents, numberCorrected, next, suspect, position), ...rest];
}

/** What some tables said before a change of their own documents or strategy rows. */
type TablesBefore = ReadonlyMap<
  TableId,
  { readonly strategy: StoredStrategy | null | undefined; readonly isDoubleZero: boolean }
>;

/** What these tables say; to be asked before a change, for `tableOutcomes` after it. */
function tablesBefore(documents: Documents, ids: readonly (TableId | null | undefined)[]): TablesBefore {
  const known = ids.filter((id) => id !== null && id !== undefined);
  return new Map(
    known.map((id) => [id, { strategy: documents.strategy(id), isDoubleZero: documents.isDoubleZero(id) }]),
  );
}

/** A strategy that says something else than before: a frame, or a floor where none tells it. */
function strategyOutcome(
  documents: Documents,
  table: TableId,
  old: StoredStrategy | null | undefined,
  position: Position,
): Outcome[] {
  const now = documents.strategy(table);
  if (old === undefined || now === undefined) return [floorOf(table, 'unknown')];
  // No frame says "no strategy any more": a snapshot does.
  if (now === null) return old === null ? [] : [floorOf(table, 'unknown')];
  if (old !== null && sameStrategy(old, now)) return [];
  const name = now.name ?? documents.nameOf(table);
  const state = { ...now, table };
  const build = (prev: Position | null) => strategyUpdate(state, { position, prev, name });
  return [{ kind: 'event', table, newest: false, build }];
}

/** One frame per table whose strategy says something else than before, and floors where no frame tells the difference. */
function tableOutcomes(documents: Documents, before: TablesBefore, position: Position): Outcome[] {
  const strategies = [...before].flatMap(([table, { strategy }]) =>
    strategyOutcome(documents, table, strategy, position),
  );
  // No frame says that a table's wheel is another one than was thought: a snapshot does.
  const wheels = [...before].flatMap(([table, { isDoubleZero }]) =>
    documents.isDoubleZero(table) === isDoubleZero ? [] : [floorOf(table, 'unknown')],
  );
  return [...strategies, ...wheels];
}

export interface StateOptions {
  readonly liveMaxAgeMs: number;
  readonly minSpinIntervalMs: number;
  /** What a collection holds, or null when it does not concern us. */
  sourceOf(ns: Namespace): Source | null;
  /** Whether an update of this path may change anything that is read. */
  isRead(path: string): boolean;
  /** Whether a table's document that names this collection names one which is not read yet. */
  isForeign(collection: string): boolean;
  /** Whether the end of this database concerns us and no invalidate will tell. */
  isDropped(database: string): boolean;
}

/** What the rules of a state read and change. */
export interface StateParts {
  readonly options: StateOptions;
  readonly documents: Documents;
  readonly unknowns: Unknowns;
  /** Tables that lost so much that what they show is not kept any more. */
  readonly exhausted: Set<TableId>;
  /** What the rewind inserted: where that is not kept, it is older than all that subscribers see, as it is live. */
  readonly born: Set<string>;
}

/** A change of a document that is kept, and where it comes from. */
interface Doings {
  readonly doing: Doing;
  readonly when: When;
  readonly position: Position;
  /** The fields that an update touches. */
  readonly touched?: readonly string[];
  /** It was kept before it was inserted. */
  readonly isBorn?: boolean;
}

/** A table's document names a collection that the stream does not cover: all begins anew, with it. */
const foreign = ({ options }: StateParts, document: StateDocument): Outcome[] =>
  document.kind === 'table' && document.table !== null && options.isForeign(document.collection ?? '')
    ? [{ kind: 'fresh', reason: 'unknown' }]
    : [];

function insert(kept: StateParts, source: Source, change: ChangeOf<'insert' | 'replace'>): Outcome[] {
  const { documents, options } = kept;
  const document = documents.read(change.ns, source, change.key, change.document);
  if (document.kind === 'number') return insertNumber(documents, document, change, options.liveMaxAgeMs);
  const before = tablesBefore(documents, [document.table]);
  documents.place(document);
  if (document.kind === 'malformed') return skipped(document);
  return [...tableOutcomes(documents, before, change.position), ...foreign(kept, document)];
}

/** Floors where what a document said before is not known. */
function floorsBefore(old: StateDocument, rule: Rule): Outcome[] {
  // Its former table is not known, so that it may be any.
  if (rule === 'all_floors') return allFloors(old.source, 'unknown');
  if (rule !== 'own_floor' || old.kind !== 'malformed') return [];
  // It may have said something before: to the table that it names, or to any.
  return old.named === null ? allFloors(old.source, 'unknown') : [floorOf(old.named, 'unknown')];
}

/** Replaces, updates or removes (`document` null) a document that is kept. */
function changeKept(
  kept: StateParts,
  old: StateDocument,
  document: Fields | null,
  rule: Rule,
  position: Position,
): Outcome[] {
  const { documents } = kept;
  const next = document === null ? null : documents.read(old.ns, old.source, old.key, document);
  const out = [...(next === null ? [] : skipped(next)), ...floorsBefore(old, rule)];
  if (old.kind === 'number') {
    out.push(...changeNumber(documents, old, next?.kind === 'number' ? next : null, rule, position));
    if (next?.kind === 'malformed') documents.place(next);
    return out;
  }
  const before = tablesBefore(documents, [old.table, next?.table]);
  documents.displace(old);
  if (next !== null) documents.place(next);
  if (next?.kind === 'number') return [...out, floorOf(next.table, 'unknown')];
  if (rule !== 'frame') return [...out, ...floorsOf([...before.keys()], 'unknown')];
  return [...out, ...tableOutcomes(documents, before, position), ...(next === null ? [] : foreign(kept, next))];
}

function noteExhaustion({ documents, exhausted }: StateParts, { table }: StateDocument): void {
  if (table !== null && documents.isExhausted(table)) exhausted.add(table);
}

/** A document that is kept changes: by what is known of it before. */
function changeBy(kept: StateParts, old: StateDocument, document: Fields | null, change: Doings): Outcome[] {
  const { unknowns } = kept;
  const { doing, when, position, touched = [], isBorn = false } = change;
  const before = unknowns.before(old.ns, old.key, (doing === 'replace' && !isBorn) || movesTable(touched));
  if (doing === 'update') unknowns.determine(old.ns, old.key, touched);
  else unknowns.forget(old.ns, old.key);
  const out = changeKept(kept, old, document, RULES[before][when][doing], position);
  noteExhaustion(kept, old);
  return out;
}

/** What the change of a document that is not kept means; `placed` is what became of it. */
function missing(
  { born }: StateParts,
  { ns, key }: { readonly ns: Namespace; readonly key: string },
  source: Source,
  [doing, when]: readonly [Doing, When],
  placed: StateDocument | null = null,
): Outcome[] {
  const rule = RULES.missing[born.has(`${ns}|${key}`) ? 'live' : when][doing];
  if (rule === 'all_floors') return allFloors(source, 'unknown');
  return rule === 'own_floor' && placed !== null ? floorsOf([placed.table], 'unknown') : [];
}

/** A document that is kept with fields that an update can be applied to; undefined for any other. */
export function patchable({ documents }: StateParts, ns: Namespace, key: string): StateDocument | undefined {
  const document = documents.get(ns, key);
  return document?.kind === 'malformed' && document.reason === 'unreadable' ? undefined : document;
}

function applyUpdate(
  kept: StateParts,
  source: Source,
  change: ChangeOf<'update'>,
  when: When,
  reread?: ChangeOf<'reread'>,
): Outcome[] {
  const { ns, key, update, position } = change;
  const touched = touchedFields(update);
  if (!touched.some(kept.options.isRead)) return [];
  const old = patchable(kept, ns, key);
  if (old !== undefined) {
    const document = applyUpdateDescription(fieldsOf(old), update);
    return changeBy(kept, old, document, { doing: 'update', when, position, touched });
  }
  if (reread !== undefined) return applyReread(kept, source, reread);
  return missing(kept, change, source, ['update', when]);
}

function applyReplace(kept: StateParts, source: Source, change: ChangeOf<'insert' | 'replace'>, when: When): Outcome[] {
  const { ns, key, kind, position } = change;
  const old = kept.documents.get(ns, key);
  if (old !== undefined) {
    return changeBy(kept, old, change.document, { doing: 'replace', when, position, isBorn: kind === 'insert' });
  }
  const out = insert(kept, source, change).filter((outcome) => outcome.kind === 'skipped');
  return [...out, ...missing(kept, change, source, ['replace', when], kept.documents.get(ns, key))];
}

function applyDelete(kept: StateParts, source: Source, change: ChangeOf<'delete'>, when: When): Outcome[] {
  const old = kept.documents.get(change.ns, change.key);
  if (old === undefined) return missing(kept, change, source, ['delete', when]);
  return changeBy(kept, old, null, { doing: 'delete', when, position: change.position });
}

/** The document is one of a later time, so that what it was cannot be told: no frame, and none until D is there. */
function applyReread(kept: StateParts, source: Source, { ns, key, document }: ChangeOf<'reread'>): Outcome[] {
  const { documents, unknowns } = kept;
  const old = documents.get(ns, key);
  if (old !== undefined) documents.displace(old);
  unknowns.mark(ns, key, [REREAD]);
  // Gone by now: of which table it was nobody can say.
  if (document === null) return allFloors(source, 'unknown');
  const next = documents.read(ns, source, key, document);
  documents.place(next);
  if (old !== undefined) noteExhaustion(kept, old);
  return floorsOf([old === undefined ? null : namedTable(old), namedTable(next)], 'unknown');
}

function applyRename({ options, documents }: StateParts, source: Source | null, change: ChangeOf<'rename'>): Outcome[] {
  const left = source === null ? [] : allFloors(source, 'rename');
  if (source !== null) documents.clear(change.ns);
  // The documents that a rename brings were never seen by this stream.
  return options.sourceOf(change.to) === null ? left : [...left, { kind: 'fresh', reason: 'rename' }];
}

/** Applies one change to what is kept, and says what follows from it. */
export function applyTo(kept: StateParts, change: Change, when: When, reread?: ChangeOf<'reread'>): Outcome[] {
  const { options, documents, born } = kept;
  if (change.kind === 'drop_database') {
    return options.isDropped(change.ns) ? [{ kind: 'fresh', reason: 'drop_database' }] : [];
  }
  if (change.kind === 'invalidate' || change.kind === 'other') return [];
  const source = options.sourceOf(change.ns);
  if (change.kind === 'rename') return applyRename(kept, source, change);
  if (source === null) return [];
  switch (change.kind) {
    case 'insert':
      if (when === 'rewind') born.add(`${change.ns}|${change.key}`);
      if (documents.get(change.ns, change.key) !== undefined) return applyReplace(kept, source, change, when);
      return insert(kept, source, change);
    case 'replace':
      return applyReplace(kept, source, change, when);
    case 'update':
      return applyUpdate(kept, source, change, when, reread);
    case 'delete':
      return applyDelete(kept, source, change, when);
    case 'reread':
      return applyReread(kept, source, change);
    case 'drop':
      documents.clear(change.ns);
      return allFloors(source, 'drop');
    default:
      return change satisfies never;
  }
}
