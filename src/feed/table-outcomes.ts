import type { Position } from '../protocol/position.ts';
import { newNumber, numberCorrected, numberRemoved, strategyUpdate } from '../roulette/messages.ts';
import { isBackfill } from '../roulette/number.ts';
import { type StoredStrategy, sameStrategy } from '../roulette/strategy.ts';
import type { TableId } from '../roulette/table.ts';
import type { NumberDocument } from '../store/base.ts';
import type { Change } from './change.ts';
import type { Documents } from './documents.ts';
import { floorOf, floorsOf, type Outcome, type Rule } from './outcome.ts';
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
export function insertNumber(
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
export function changeNumber(
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
export type TablesBefore = ReadonlyMap<
  TableId,
  { readonly strategy: StoredStrategy | null | undefined; readonly isDoubleZero: boolean }
>;

/** What these tables say; to be asked before a change, for `tableOutcomes` after it. */
export function tablesBefore(documents: Documents, ids: readonly (TableId | null | undefined)[]): TablesBefore {
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
export function tableOutcomes(documents: Documents, before: TablesBefore, position: Position): Outcome[] {
  const strategies = [...before].flatMap(([table, { strategy }]) =>
    strategyOutcome(documents, table, strategy, position),
  );
  // No frame says that a table's wheel is another one than was thought: a snapshot does.
  const wheels = [...before].flatMap(([table, { isDoubleZero }]) =>
    documents.isDoubleZero(table) === isDoubleZero ? [] : [floorOf(table, 'unknown')],
  );
  return [...strategies, ...wheels];
}
