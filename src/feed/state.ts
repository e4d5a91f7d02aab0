import type { ResetReason } from '../protocol/messages.ts';
import type { Position } from '../protocol/position.ts';
import { isPlacing } from '../roulette/fields.ts';
import { newNumber, numberCorrected, numberRemoved, strategyUpdate } from '../roulette/messages.ts';
import { isBackfill } from '../roulette/number.ts';
import { applyUpdateDescription } from '../roulette/patch.ts';
import type { Source } from '../roulette/source.ts';
import { type StoredStrategy, sameStrategy } from '../roulette/strategy.ts';
import type { TableId } from '../roulette/table.ts';
import type { Base, BaseDocument, NumberDocument } from '../store/base.ts';
import type { Change, ChangeOf, Fields, Namespace } from './change.ts';
import { fieldsOf, namedTable, type StateDocument } from './document.ts';
import { createDocuments, type Documents } from './documents.ts';
import { type Doing, floorOf, floorsOf, type Outcome, RULES, type Rule, type When } from './outcome.ts';
import { createPassedBy } from './passed-by.ts';
import { VISIBLE } from './table-state.ts';
import { createUnknowns, movesTable, REREAD, touchedFields } from './unknowns.ts';

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

export interface State
  extends Pick<
    Documents,
    | 'directory'
    | 'tables'
    | 'nameOf'
    | 'numbers'
    | 'strategyItem'
    | 'isDoubleZero'
    | 'takeDoubleZeros'
    | 'markIncomplete'
    | 'isPartial'
    | 'known'
    | 'versionOf'
    | 'takeChanged'
  > {
  /** Applies one change and says what follows from it; `reread` is its document as it was read later, if it was. */
  apply(change: Change, when: When, reread?: ChangeOf<'reread'>): Outcome[];
  /** Whether a change is of a document that is not kept, so that only the document itself can say what it means. */
  isDoubtful(change: Change, when: When): boolean;
  /** Takes a document of the base read. */
  load(document: BaseDocument): void;
  /** The same for a number, which is read already. */
  loadNumber(number: NumberDocument): void;
  /** The rewind will change these fields of this document: until then their values are not what was read. */
  markUnknown(ns: Namespace, key: string, fields: readonly string[]): void;
  /** Forgets which fields were unknown: everything that was read ahead of the stream has been reached by it. */
  settle(): void;
  /** The read at rest of this collection gave up before it had all of the table that it wanted. */
  markUnfinished(ns: Namespace, table: TableId): void;
  /** The tables that lost so much that less of them is shown than may be asked for, since this was last asked. */
  takeExhausted(): TableId[];
  /** All tables of which less is shown than subscribers may ask for. */
  findPartial(): TableId[];
  /** From now on it is noted what becomes of documents that are not kept, until `mend`. */
  beginMending(): void;
  /**
   * Puts what was read at rest since `beginMending` where these tables lost too much. Their floors rise. False when too
   * much happened meanwhile to tell what is there now.
   */
  mend(tables: ReadonlySet<TableId>, base: Omit<Base, 'skipped'>): boolean;
}

type Strategies = ReadonlyMap<TableId, StoredStrategy | null | undefined>;

/** Whether each has a double zero. */
type Wheels = ReadonlyMap<TableId, boolean>;

/**
 * Everything known of the roulette tables at one position, and the pure rules that make frames out of changes: the
 * same changes over the same base give the same outcomes on every instance.
 */
export function createState(options: StateOptions): State {
  let added: Outcome[] = [];
  let named: Outcome[] = [];
  const documents = createDocuments(options.minSpinIntervalMs, {
    added(table, name, attached) {
      added.push({ kind: 'added', table, name });
      // What those documents say is told by no frame.
      if (attached) named.push(floorOf(table, 'unknown'));
    },
    named: (table, name) => void named.push({ kind: 'named', table, name }),
  });
  const unknowns = createUnknowns();
  const exhausted = new Set<TableId>();
  /** What the rewind inserted: where that is not kept, it is older than all that subscribers see, as it is live. */
  const born = new Set<string>();
  const passedBy = createPassedBy();

  /** Floors for every table that a document of this collection may belong to. */
  const allFloors = (source: Source, reason: ResetReason): Outcome[] =>
    source.kind === 'table-numbers' ? [floorOf(source.table, reason)] : [{ kind: 'all_floors', reason }];

  const skipped = (document: StateDocument): Outcome[] =>
    document.kind === 'malformed'
      ? [{ kind: 'skipped', reason: document.reason, ns: document.ns, id: document.id }]
      : [];

  const numberEvent = (
    build: typeof newNumber | typeof numberCorrected,
    { table, number }: NumberDocument,
    suspect: boolean,
    position: Position,
    newest = false,
  ): Outcome => {
    const name = number.name ?? documents.nameOf(table);
    return { kind: 'event', table, newest, build: (prev) => build(number, suspect, { position, prev, name }) };
  };

  const strategiesOf = (ids: readonly (TableId | null | undefined)[]): Strategies => {
    const found = new Map<TableId, StoredStrategy | null | undefined>();
    for (const id of ids) if (id !== null && id !== undefined) found.set(id, documents.strategy(id));
    return found;
  };

  /** One frame per table whose strategy says something else than before. */
  const strategyOutcomes = (before: Strategies, position: Position): Outcome[] => {
    const out: Outcome[] = [];
    for (const [table, old] of before) {
      const now = documents.strategy(table);
      if (old === undefined || now === undefined) {
        out.push(floorOf(table, 'unknown'));
      } else if (now === null) {
        // No frame says "no strategy any more": a snapshot does.
        if (old !== null) out.push(floorOf(table, 'unknown'));
      } else if (old === null || !sameStrategy(old, now)) {
        const name = now.name ?? documents.nameOf(table);
        const state = { ...now, table };
        const build = (prev: Position | null) => strategyUpdate(state, { position, prev, name });
        out.push({ kind: 'event', table, newest: false, build });
      }
    }
    return out;
  };

  /** Which of these tables have a double zero. */
  const wheelsOf = (ids: Iterable<TableId>): Wheels => new Map([...ids].map((id) => [id, documents.isDoubleZero(id)]));

  /** No frame says that a table's wheel is another one than was thought: a snapshot does. */
  const wheelOutcomes = (before: Wheels): Outcome[] =>
    [...before].flatMap(([table, was]) => (documents.isDoubleZero(table) === was ? [] : [floorOf(table, 'unknown')]));

  /** A table's document names a collection that the stream does not cover: all begins anew, with it. */
  const foreign = (document: StateDocument): Outcome[] =>
    document.kind === 'table' && document.table !== null && options.isForeign(document.collection ?? '')
      ? [{ kind: 'fresh', reason: 'unknown' }]
      : [];

  const insertNumber = (document: NumberDocument, change: Change): Outcome[] => {
    const { table, number } = document;
    const kept = documents.place(document);
    const isOld = isBackfill(number.timestampMs, change.time.t * 1000, options.liveMaxAgeMs);
    if (isOld) return [{ kind: 'backfill', table, ageMs: change.time.t * 1000 - number.timestampMs }];
    const at = kept ? documents.rank(document) : -1;
    // Behind the newest that every instance keeps they may keep different ones, so that none compares there.
    const suspect = at >= 0 && at < VISIBLE ? documents.isMarked(table, at, at + 1) : false;
    if (suspect === undefined) return [floorOf(table, 'unknown')];
    const event = numberEvent(newNumber, document, suspect, change.position, at === 0);
    // What came in between is what the one above it is compared with from now on, and no frame tells that.
    const isBetween = at > 0 && at <= VISIBLE;
    const isAboveChanged =
      isBetween && documents.isMarked(table, at - 1, at) !== documents.isMarked(table, at - 1, at + 1);
    return isAboveChanged ? [event, floorOf(table, 'unknown')] : [event];
  };

  const insert = (source: Source, change: ChangeOf<'insert' | 'replace'>): Outcome[] => {
    const document = documents.read(change.ns, source, change.key, change.document);
    if (document.kind === 'number') return insertNumber(document, change);
    const before = strategiesOf([document.table]);
    const wheels = wheelsOf(before.keys());
    documents.place(document);
    if (document.kind === 'malformed') return skipped(document);
    return [...strategyOutcomes(before, change.position), ...wheelOutcomes(wheels), ...foreign(document)];
  };

  /** A number says something else now, or nothing that can be read (`next` null). */
  const changeNumber = (
    old: NumberDocument,
    next: NumberDocument | null,
    rule: Rule,
    position: Position,
  ): Outcome[] => {
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
    // Another number is marked now, or is not any more, because of what stands below it: no frame says that either.
    const others = [...documents.marks(table)].some(([other, mark]) => marks.has(other) && marks.get(other) !== mark);
    const rest = others ? [floorOf(table, 'unknown')] : [];
    if (next === null) {
      const name = old.number.name ?? documents.nameOf(table);
      const build = (prev: Position | null) => numberRemoved(old.number, { position, prev, name });
      return [{ kind: 'event', table, newest: false, build }, ...rest];
    }
    const suspect = documents.isMarked(table, to, to + 1);
    if (suspect === undefined) return [floorOf(table, 'unknown')];
    return [numberEvent(numberCorrected, next, suspect, position), ...rest];
  };

  /** Replaces, updates or removes (`document` null) a document that is kept. */
  const changeKept = (old: StateDocument, document: Fields | null, rule: Rule, position: Position): Outcome[] => {
    const next = document === null ? null : documents.read(old.ns, old.source, old.key, document);
    const out: Outcome[] = next === null ? [] : skipped(next);
    // Its former table is not known, so that it may be any.
    if (rule === 'all_floors') out.push(...allFloors(old.source, 'unknown'));
    else if (rule === 'own_floor' && old.kind === 'malformed') {
      // It may have said something before: to the table that it names, or to any.
      out.push(...(old.named === null ? allFloors(old.source, 'unknown') : [floorOf(old.named, 'unknown')]));
    }
    if (old.kind === 'number') {
      out.push(...changeNumber(old, next?.kind === 'number' ? next : null, rule, position));
      if (next?.kind === 'malformed') documents.place(next);
      return out;
    }
    const strategies = strategiesOf([old.table, next?.table]);
    const wheels = wheelsOf(strategies.keys());
    documents.displace(old);
    if (next !== null) documents.place(next);
    if (next?.kind === 'number') return [...out, floorOf(next.table, 'unknown')];
    if (rule !== 'frame') return [...out, ...floorsOf([...strategies.keys()], 'unknown')];
    const rest = next === null ? [] : foreign(next);
    return [...out, ...strategyOutcomes(strategies, position), ...wheelOutcomes(wheels), ...rest];
  };

  /** Notes a table that lost so much that what it shows is not kept any more. */
  const noteExhaustion = (document: StateDocument): void => {
    if (document.table !== null && documents.isExhausted(document.table)) exhausted.add(document.table);
  };

  /** A document that is kept changes: by what is known of it before. `isBorn`: it was kept before it was inserted. */
  const changeBy = (
    [doing, when]: readonly [Doing, When],
    old: StateDocument,
    document: Fields | null,
    position: Position,
    touched: readonly string[] = [],
    isBorn = false,
  ): Outcome[] => {
    const moves = (doing === 'replace' && !isBorn) || movesTable(touched);
    const before = unknowns.before(old.ns, old.key, moves);
    if (doing === 'update') unknowns.determine(old.ns, old.key, touched);
    else unknowns.forget(old.ns, old.key);
    const out = changeKept(old, document, RULES[before][when][doing], position);
    noteExhaustion(old);
    return out;
  };

  /** What the change of a document that is not kept means; `placed` is what became of it. */
  const missing = (
    { ns, key }: { readonly ns: Namespace; readonly key: string },
    source: Source,
    [doing, when]: readonly [Doing, When],
    placed: StateDocument | null = null,
  ): Outcome[] => {
    const rule = RULES.missing[born.has(`${ns}|${key}`) ? 'live' : when][doing];
    if (rule === 'all_floors') return allFloors(source, 'unknown');
    return rule === 'own_floor' && placed !== null ? floorsOf([placed.table], 'unknown') : [];
  };

  /** Kept, and with fields that an update can be applied to. */
  const patchable = (ns: Namespace, key: string): StateDocument | undefined => {
    const document = documents.get(ns, key);
    return document?.kind === 'malformed' && document.reason === 'unreadable' ? undefined : document;
  };

  const applyUpdate = (source: Source, change: ChangeOf<'update'>, when: When, reread?: ChangeOf<'reread'>) => {
    const touched = touchedFields(change.update);
    if (!touched.some(options.isRead)) return [];
    const old = patchable(change.ns, change.key);
    if (old !== undefined) {
      const document = applyUpdateDescription(fieldsOf(old), change.update);
      return changeBy(['update', when], old, document, change.position, touched);
    }
    if (reread !== undefined) return applyReread(source, reread);
    return missing(change, source, ['update', when]);
  };

  const applyReplace = (source: Source, change: ChangeOf<'insert' | 'replace'>, when: When): Outcome[] => {
    const old = documents.get(change.ns, change.key);
    if (old !== undefined)
      return changeBy(['replace', when], old, change.document, change.position, [], change.kind === 'insert');
    const out = insert(source, change).filter(({ kind }) => kind === 'skipped');
    return [...out, ...missing(change, source, ['replace', when], documents.get(change.ns, change.key))];
  };

  const applyDelete = (source: Source, change: ChangeOf<'delete'>, when: When): Outcome[] => {
    const old = documents.get(change.ns, change.key);
    if (old === undefined) return missing(change, source, ['delete', when]);
    return changeBy(['delete', when], old, null, change.position);
  };

  /** The document is one of a later time, so that what it was cannot be told: no frame, and none until D is there. */
  const applyReread = (source: Source, { ns, key, document }: ChangeOf<'reread'>): Outcome[] => {
    const old = documents.get(ns, key);
    if (old !== undefined) documents.displace(old);
    unknowns.mark(ns, key, [REREAD]);
    // Gone by now: of which table it was nobody can say.
    if (document === null) return allFloors(source, 'unknown');
    const next = documents.read(ns, source, key, document);
    documents.place(next);
    if (old !== undefined) noteExhaustion(old);
    return floorsOf([old === undefined ? null : namedTable(old), namedTable(next)], 'unknown');
  };

  const applyRename = (source: Source | null, change: ChangeOf<'rename'>): Outcome[] => {
    const left = source === null ? [] : allFloors(source, 'rename');
    if (source !== null) documents.clear(change.ns);
    // The documents that a rename brings were never seen by this stream.
    return options.sourceOf(change.to) === null ? left : [...left, { kind: 'fresh', reason: 'rename' }];
  };

  const outcomesOf = (change: Change, when: When, reread?: ChangeOf<'reread'>): Outcome[] => {
    if (change.kind === 'drop_database') {
      return options.isDropped(change.ns) ? [{ kind: 'fresh', reason: 'drop_database' }] : [];
    }
    if (change.kind === 'invalidate' || change.kind === 'other') return [];
    const source = options.sourceOf(change.ns);
    if (change.kind === 'rename') return applyRename(source, change);
    if (source === null) return [];
    switch (change.kind) {
      case 'insert':
        if (when === 'rewind') born.add(`${change.ns}|${change.key}`);
        if (documents.get(change.ns, change.key) !== undefined) return applyReplace(source, change, when);
        return insert(source, change);
      case 'replace':
        return applyReplace(source, change, when);
      case 'update':
        return applyUpdate(source, change, when, reread);
      case 'delete':
        return applyDelete(source, change, when);
      case 'reread':
        return applyReread(source, change);
      case 'drop':
        documents.clear(change.ns);
        return allFloors(source, 'drop');
      default:
        return change satisfies never;
    }
  };

  /** What of a read belongs where its table lost too much, as it is now. */
  const lostOne = (tables: ReadonlySet<TableId>, read: BaseDocument | NumberDocument): StateDocument | null => {
    const { ns, key } = read;
    const source = options.sourceOf(ns);
    if (source === null || documents.get(ns, key) !== undefined) return null;
    const said = passedBy.said(ns, key);
    if (said === null) return null;
    const readNow = (document: Fields): StateDocument => documents.read(ns, source, key, document);
    const found = said === undefined ? ('number' in read ? read : readNow(read.document)) : readNow(said);
    // What is newer comes, or came, by the stream.
    return found.table !== null && tables.has(found.table) && documents.isBelow(found) ? found : null;
  };

  const markUnfinished: State['markUnfinished'] = (ns, table) => {
    const source = options.sourceOf(ns);
    if (source !== null) documents.markUnfinished(table, source);
  };

  return {
    ...documents,
    markUnfinished,
    apply(change, when, reread) {
      added = [];
      named = [];
      const out = outcomesOf(change, when, reread);
      if ('key' in change && documents.get(change.ns, change.key) === undefined) passedBy.note(change, reread);
      return added.length + named.length === 0 ? out : [...added, ...out, ...named];
    },
    isDoubtful(change, when) {
      if (change.kind !== 'update' || options.sourceOf(change.ns) === null) return false;
      if (patchable(change.ns, change.key) !== undefined) return false;
      // Of a document that is old, only these fields can bring it in; in a rewind it may be one that was deleted since.
      return touchedFields(change.update).some(when === 'live' ? isPlacing : options.isRead);
    },
    load({ ns, key, document }) {
      const source = options.sourceOf(ns);
      if (source === null || documents.get(ns, key) !== undefined) return;
      // Untrimmed: what the rewind inserts is taken out again, and what lies before it is needed then.
      documents.place(documents.read(ns, source, key, document), false);
    },
    loadNumber(number) {
      if (documents.get(number.ns, number.key) === undefined) documents.place(number, false);
    },
    markUnknown: unknowns.mark,
    settle() {
      unknowns.clear();
      born.clear();
    },
    takeExhausted() {
      if (exhausted.size === 0) return [];
      const found = [...exhausted].filter(documents.isExhausted);
      exhausted.clear();
      return found;
    },
    beginMending() {
      passedBy.begin();
    },
    mend(tables, base) {
      if (!passedBy.isWhole) return false;
      const found = [...base.documents, ...base.numbers].flatMap((read) => lostOne(tables, read) ?? []);
      passedBy.end();
      for (const table of tables) documents.unbound(table);
      for (const document of found) {
        documents.place(document, false);
        unknowns.mark(document.ns, document.key, [REREAD]);
      }
      for (const { ns, table } of base.incomplete) if (tables.has(table)) documents.markIncomplete(ns, table);
      for (const { ns, table } of base.unfinished) if (tables.has(table)) markUnfinished(ns, table);
      return true;
    },
    findPartial: () => [...documents.known()].filter(documents.isPartial),
  };
}
