import type { SkipReason } from '../protocol/delivery.ts';
import type { EventMessage, ResetReason } from '../protocol/messages.ts';
import type { Position } from '../protocol/position.ts';
import { isPlacing, isRead } from '../roulette/fields.ts';
import { newNumber, numberCorrected, numberRemoved, strategyUpdate } from '../roulette/messages.ts';
import { isBackfill } from '../roulette/number.ts';
import { applyUpdateDescription } from '../roulette/patch.ts';
import type { Source } from '../roulette/source.ts';
import { type StoredStrategy, sameStrategy } from '../roulette/strategy.ts';
import type { TableId } from '../roulette/table.ts';
import type { BaseDocument } from '../store/base.ts';
import type { Change, ChangeOf, Namespace } from './change.ts';
import { fieldsOf, type Held, type HeldNumber } from './document.ts';
import { createShelf, type Shelf } from './documents.ts';
import type { Fields } from './fields.ts';
import { VISIBLE } from './table-state.ts';
import { type Before, createUnknowns, touchedFields, WHOLE } from './unknowns.ts';

/** What a change means for subscribers. */
export type Outcome =
  /** One frame, to be positioned; `prev` is filled in by whoever keeps the ring. */
  | { readonly kind: 'event'; readonly table: TableId; build(prev: Position | null): EventMessage }
  /** The table changed in a way that no frame tells: its recovery floor rises, subscribers get a fresh snapshot. */
  | { readonly kind: 'floor'; readonly table: TableId; readonly reason: ResetReason }
  | { readonly kind: 'added'; readonly table: TableId; readonly name: string }
  /** The state cannot follow from here on: read everything anew. */
  | { readonly kind: 'fresh'; readonly reason: ResetReason }
  | { readonly kind: 'skipped'; readonly reason: SkipReason };

export interface StateOptions {
  readonly liveMaxAgeMs: number;
  readonly minSpinIntervalMs: number;
  /** What a collection holds, or null when it does not concern us. */
  sourceOf(ns: Namespace): Source | null;
  /** Whether the end of this database concerns us and no invalidate will tell. */
  isDropped(database: string): boolean;
}

/** Where a change lies to the read of the base: `around` it, the base may contain it or not. */
export type When = 'before_read' | 'around_read' | 'live';

export interface State extends Pick<Shelf, 'directory' | 'tables' | 'nameOf' | 'numbers' | 'strategyItem'> {
  /**
   * Applies one change and says what follows from it. In a rewind, a document that the base does not know may have been
   * deleted between the change and the read, so that its table is unknown.
   */
  apply(change: Change, when: When): Outcome[];
  /** Takes a document of the base read. */
  load(document: BaseDocument): void;
  markIncomplete: Shelf['markIncomplete'];
  /** The rewind will change these fields of this document: until then their values are not what was read. */
  markUnknown(ns: Namespace, key: string, fields: readonly string[]): void;
  /** Forgets which fields were unknown: everything that was read ahead of the stream has been reached by it. */
  settle(): void;
  /** Whether a table needs more documents than were read. */
  isExhausted(): boolean;
}

type Strategies = ReadonlyMap<TableId, StoredStrategy | null | undefined>;

const skipped = (held: Extract<Held, { kind: 'malformed' }>): Outcome => ({ kind: 'skipped', reason: held.reason });

const floor = (table: TableId, reason: ResetReason): Outcome => ({ kind: 'floor', table, reason });

/**
 * Everything known of the roulette tables at one position, and the pure rules that make frames out of changes: the
 * same changes over the same base give the same outcomes on every instance.
 */
export function createState(options: StateOptions): State {
  let added: Outcome[] = [];
  const shelf = createShelf(options.minSpinIntervalMs, (table, name) => added.push({ kind: 'added', table, name }));
  const unknowns = createUnknowns();

  /** Floors for every table that a document of this collection may belong to. */
  const floorsOf = (source: Source, reason: ResetReason): Outcome[] =>
    (source.kind === 'table-numbers' ? [source.table] : shelf.known()).map((table) => floor(table, reason));

  const numberEvent = (
    build: typeof newNumber | typeof numberCorrected,
    held: HeldNumber,
    suspect: boolean,
    position: Position,
  ): Outcome => {
    const name = held.number.name ?? shelf.nameOf(held.table);
    return { kind: 'event', table: held.table, build: (prev) => build(held.number, suspect, { position, prev, name }) };
  };

  const strategiesOf = (ids: readonly (TableId | null | undefined)[]): Strategies => {
    const found = new Map<TableId, StoredStrategy | null | undefined>();
    for (const id of ids) if (id !== null && id !== undefined) found.set(id, shelf.strategy(id));
    return found;
  };

  /** One frame per table whose strategy says something else than before. */
  const strategyOutcomes = (before: Strategies, position: Position, predecessorKnown: boolean): Outcome[] => {
    const out: Outcome[] = [];
    for (const [table, old] of before) {
      const now = shelf.strategy(table);
      if (!predecessorKnown || old === undefined || now === undefined) {
        out.push(floor(table, 'unknown'));
      } else if (now === null) {
        // No frame says "no strategy any more": a snapshot does.
        if (old !== null) out.push(floor(table, 'unknown'));
      } else if (old === null || !sameStrategy(old, now)) {
        const name = now.name ?? shelf.nameOf(table);
        const state = { ...now, table };
        out.push({ kind: 'event', table, build: (prev) => strategyUpdate(state, { position, prev, name }) });
      }
    }
    return out;
  };

  const insertNumber = (held: HeldNumber, change: Change): Outcome[] => {
    const kept = shelf.place(held);
    if (isBackfill(held.number.timestampMs, change.time.t * 1000, options.liveMaxAgeMs)) {
      return [floor(held.table, 'backfill')];
    }
    // Behind the newest that are held for sure instances may hold different ones, so that none compares there.
    const suspect = kept && shelf.rank(held) < VISIBLE ? shelf.suspect(held) : false;
    if (suspect === undefined) return [floor(held.table, 'unknown')];
    return [numberEvent(newNumber, held, suspect, change.position)];
  };

  const insert = (source: Source, change: ChangeOf<'insert' | 'replace'>): Outcome[] => {
    const held = shelf.read(change.ns, source, change.key, change.document);
    if (held.kind === 'number') return insertNumber(held, change);
    const before = strategiesOf([held.table]);
    shelf.place(held);
    return held.kind === 'malformed' ? [skipped(held)] : strategyOutcomes(before, change.position, true);
  };

  /** A held number says something else now, or nothing that can be read (`next` null). */
  const changeNumber = (
    old: HeldNumber,
    next: HeldNumber | null,
    predecessorKnown: boolean,
    position: Position,
  ): Outcome[] => {
    const from = shelf.displace(old);
    const kept = next !== null && shelf.place(next);
    if (next !== null && next.table !== old.table) return [floor(next.table, 'unknown'), floor(old.table, 'unknown')];
    if (!predecessorKnown) return [floor(old.table, 'unknown')];
    const to = next === null || !kept ? -1 : shelf.rank(next);
    const wasVisible = from >= 0 && from < VISIBLE;
    const isVisible = to >= 0 && to < VISIBLE;
    if (!wasVisible && !isVisible) return [];
    // It leaves what subscribers see without being gone: no frame says that.
    if (next !== null && !isVisible) return [floor(old.table, 'unknown')];
    if (next === null) {
      const name = old.number.name ?? shelf.nameOf(old.table);
      const build = (prev: Position | null) => numberRemoved(old.number, { position, prev, name });
      return [{ kind: 'event', table: old.table, build }];
    }
    const suspect = shelf.suspect(next);
    if (suspect === undefined) return [floor(next.table, 'unknown')];
    return [numberEvent(numberCorrected, next, suspect, position)];
  };

  /** Replaces, updates or removes (`document` null) a held document. */
  const changeHeld = (old: Held, document: Fields | null, before: Before, position: Position): Outcome[] => {
    const next = document === null ? null : shelf.read(old.ns, old.source, old.key, document);
    const noted: Outcome[] = next?.kind === 'malformed' ? [skipped(next)] : [];
    // Its former table is not known, so that it may be any: a field that named it, or that made it readable, changes.
    if (before === 'unplaced' || (before === 'unknown' && old.kind === 'malformed'))
      noted.push(...floorsOf(old.source, 'unknown'));
    if (old.kind === 'number') {
      const number = next?.kind === 'number' ? next : null;
      noted.push(...changeNumber(old, number, before === 'known', position));
      if (next?.kind === 'malformed') shelf.place(next);
      return noted;
    }
    const strategies = strategiesOf([old.table, next?.table]);
    shelf.displace(old);
    if (next !== null) shelf.place(next);
    if (next?.kind === 'number') return [...noted, floor(next.table, 'unknown')];
    return [...noted, ...strategyOutcomes(strategies, position, before === 'known')];
  };

  /** A table that lost so much that what it shows is not held any more must be read again. */
  const exhaustion = (held: Held, when: When): Outcome[] =>
    when === 'live' && held.table !== null && shelf.isExhausted(held.table)
      ? [{ kind: 'fresh', reason: 'unknown' }]
      : [];

  const applyUpdate = (source: Source, change: ChangeOf<'update'>, when: When): Outcome[] => {
    const touched = touchedFields(change.update);
    if (!touched.some(isRead)) return [];
    const held = shelf.get(change.ns, change.key);
    if (held === undefined) {
      // Older than the window, or malformed until now: only these fields can bring it in. Where the base was surely read
      // after that, it would be there.
      if (when !== 'before_read' && touched.some(isPlacing)) return [{ kind: 'fresh', reason: 'unknown' }];
      return when === 'live' ? [] : floorsOf(source, 'unknown');
    }
    const before = unknowns.standing(change.ns, change.key);
    unknowns.determine(change.ns, change.key, touched);
    const document = applyUpdateDescription(fieldsOf(held), change.update);
    return [...changeHeld(held, document, before, change.position), ...exhaustion(held, when)];
  };

  const applyReplace = (source: Source, change: ChangeOf<'insert' | 'replace'>, when: When): Outcome[] => {
    const held = shelf.get(change.ns, change.key);
    if (held !== undefined) {
      const before = unknowns.standing(change.ns, change.key);
      unknowns.forget(change.ns, change.key);
      return [...changeHeld(held, change.document, before, change.position), ...exhaustion(held, when)];
    }
    const out = insert(source, change).filter(({ kind }) => kind === 'skipped');
    if (when !== 'live') return [...out, ...floorsOf(source, 'unknown')];
    const table = shelf.get(change.ns, change.key)?.table ?? null;
    return table === null ? out : [...out, floor(table, 'unknown')];
  };

  const applyDelete = (source: Source, change: ChangeOf<'delete'>, when: When): Outcome[] => {
    const held = shelf.get(change.ns, change.key);
    // What is not held is older than anything that a subscriber sees; in a rewind its table is not known.
    if (held === undefined) return when === 'live' ? [] : floorsOf(source, 'unknown');
    const before = unknowns.standing(change.ns, change.key);
    unknowns.forget(change.ns, change.key);
    return [...changeHeld(held, null, before, change.position), ...exhaustion(held, when)];
  };

  /** The document is one of a later time, so that what it was cannot be told: no frame, and none until D is there. */
  const applyOversized = (source: Source, change: ChangeOf<'oversized'>): Outcome[] => {
    const { ns, key, document, inserted } = change;
    const held = shelf.get(ns, key);
    if (held !== undefined) shelf.displace(held);
    const next = document === null ? null : shelf.read(ns, source, key, document);
    if (next !== null) shelf.place(next);
    unknowns.mark(ns, key, [WHOLE]);
    const sure = inserted && next !== null && next.kind !== 'table';
    if (!sure) return floorsOf(source, 'unknown');
    return next.table === null ? [] : [floor(next.table, 'unknown')];
  };

  const applyRename = (source: Source | null, change: ChangeOf<'rename'>): Outcome[] => {
    const left = source === null ? [] : floorsOf(source, 'rename');
    if (source !== null) shelf.clear(change.ns);
    // The documents that a rename brings were never seen by this stream.
    return options.sourceOf(change.to) === null ? left : [...left, { kind: 'fresh', reason: 'rename' }];
  };

  const outcomesOf = (change: Change, when: When): Outcome[] => {
    if (change.kind === 'drop_database') {
      return options.isDropped(change.ns) ? [{ kind: 'fresh', reason: 'drop_database' }] : [];
    }
    if (change.kind === 'invalidate' || change.kind === 'other') return [];
    const source = options.sourceOf(change.ns);
    if (change.kind === 'rename') return applyRename(source, change);
    if (source === null) return [];
    switch (change.kind) {
      case 'insert':
        if (shelf.get(change.ns, change.key) !== undefined) return applyReplace(source, change, when);
        return insert(source, change);
      case 'replace':
        return applyReplace(source, change, when);
      case 'update':
        return applyUpdate(source, change, when);
      case 'delete':
        return applyDelete(source, change, when);
      case 'oversized':
        return applyOversized(source, change);
      case 'drop':
        shelf.clear(change.ns);
        return floorsOf(source, 'drop');
      default:
        return change satisfies never;
    }
  };

  return {
    ...shelf,
    apply(change, when) {
      added = [];
      const out = outcomesOf(change, when);
      return added.length === 0 ? out : [...added, ...out];
    },
    load({ ns, key, document }) {
      const source = options.sourceOf(ns);
      if (source === null || shelf.get(ns, key) !== undefined) return;
      // Untrimmed: what the rewind inserts is taken out again, and what lies before it is needed then.
      shelf.place(shelf.read(ns, source, key, document), false);
    },
    markUnknown: unknowns.mark,
    settle: unknowns.clear,
    isExhausted: () => shelf.known().some((table) => shelf.isExhausted(table)),
  };
}
