import type { NumberItem, StrategyItem } from '../protocol/messages.ts';
import { createDirectory, type Directory, type TableId } from '../roulette/table.ts';
import { VISIBLE } from './table-state.ts';
import type { Entry, ServedState } from './timeline.ts';
import { numberIn, numbersIn, strategyIn, type TableHead } from './wire.ts';

/** The state as a replica keeps it: of each table what subscribers can see, and no documents. */
export interface ReplicaState extends ServedState {
  /** Applies what an event changes: its table's newest number, or its strategy. Other changes come as lines of their own. */
  apply(entry: Entry): void;
  setHead(head: TableHead): void;
  setNumbers(table: TableId, text: string): void;
  /** Takes over another state in its place; tables that only this one knows are known on, and empty. Tells what is new. */
  become(other: ReplicaState): Learnt[];
  /** The tables as another state takes them over. */
  readonly content: ReadonlyMap<TableId, ReplicaTable>;
}

/** A table that was not known, or not by this name. */
interface Learnt {
  readonly table: TableId;
  readonly name: string;
  readonly isNew: boolean;
}

/** What comes by the stream is kept as text: most tables are never asked for between two of their numbers. */
interface ReplicaTable {
  name: string;
  names: readonly string[];
  stored: boolean;
  doubleZero: boolean;
  strategy: StrategyItem | null;
  /** A `strategy_update` above `strategy`, not read yet. */
  strategyText: string | null;
  numbers: readonly NumberItem[];
  /** All numbers, not read yet: instead of `numbers`. */
  numbersText: string | null;
  /** `new_number` frames above those, oldest first, not read yet. */
  newer: string[];
  version: number;
}

/** Frames of one table that wait to be read; beyond, those that no snapshot can show any more are let go. */
const MAX_UNREAD = 2 * VISIBLE;

const emptyTable = (name: string): ReplicaTable => ({
  name,
  names: [],
  stored: false,
  doubleZero: false,
  strategy: null,
  strategyText: null,
  numbers: [],
  numbersText: null,
  newer: [],
  version: 0,
});

function numbersOf(table: ReplicaTable): readonly NumberItem[] {
  if (table.numbersText !== null) table.numbers = numbersIn(table.numbersText);
  table.numbersText = null;
  if (table.newer.length > 0) {
    const newer = table.newer.slice(-VISIBLE).reverse().map(numberIn);
    table.numbers = [...newer, ...table.numbers].slice(0, VISIBLE);
    table.newer = [];
  }
  return table.numbers;
}

function strategyOf(table: ReplicaTable): StrategyItem | null {
  if (table.strategyText !== null) table.strategy = strategyIn(table.strategyText);
  table.strategyText = null;
  return table.strategy;
}

/** Learns the names of tables; those that are new. */
function learnAll(directory: Directory, content: ReadonlyMap<TableId, ReplicaTable>): Learnt[] {
  const learnt: Learnt[] = [];
  for (const [table, { name, names }] of content) {
    if (directory.learn(table, null) === 'new') learnt.push({ table, name, isNew: true });
    for (const each of names) {
      if (directory.learn(table, each) === 'named') learnt.push({ table, name: each, isNew: false });
    }
  }
  return learnt;
}

export function createReplicaState(): ReplicaState {
  const directory = createDirectory();
  const content = new Map<TableId, ReplicaTable>();
  let sorted: readonly TableId[] | null = null;

  const ensure = (id: TableId, name: string): ReplicaTable => {
    const present = content.get(id);
    if (present !== undefined) return present;
    const created = emptyTable(name);
    content.set(id, created);
    directory.learn(id, null);
    return created;
  };

  const changed = (table: ReplicaTable, stored: boolean): void => {
    table.version++;
    if (table.stored !== stored) sorted = null;
    table.stored = stored;
  };

  return {
    directory,
    content,
    apply(entry) {
      if (entry.kind === 'added') ensure(entry.table, entry.name);
      if (entry.kind === 'added' || entry.kind === 'named') directory.learn(entry.table, entry.name);
      if (entry.kind !== 'frame') return;
      const { frame, newest } = entry;
      const table = ensure(entry.table, entry.table);
      if (frame.type === 'strategy_update') table.strategyText = frame.text;
      else if (newest) table.newer.push(frame.text);
      else return;
      if (table.newer.length > MAX_UNREAD) table.newer = table.newer.slice(-VISIBLE);
      changed(table, true);
    },
    setHead({ table: id, stored, ...head }) {
      const table = ensure(id, head.name);
      changed(table, stored);
      Object.assign(table, head, { strategyText: null });
      for (const each of head.names) directory.learn(id, each);
    },
    setNumbers(id, text) {
      const table = ensure(id, id);
      table.numbersText = text;
      table.newer = [];
      table.version++;
    },
    become(other) {
      for (const [id, table] of content) {
        const next = other.content.get(id) ?? emptyTable(table.name);
        content.set(id, { ...next, version: table.version + 1 });
      }
      for (const [id, table] of other.content) if (!content.has(id)) content.set(id, table);
      sorted = null;
      return learnAll(directory, other.content);
    },
    known: () => content.keys(),
    tables() {
      sorted ??= [...content].flatMap(([id, { stored }]) => (stored ? [id] : [])).sort();
      return sorted;
    },
    has: (id) => content.get(id)?.stored ?? false,
    nameOf: (id) => content.get(id)?.name ?? id,
    numbers(id, count) {
      const table = content.get(id);
      return table === undefined ? [] : numbersOf(table).slice(0, count);
    },
    strategyItem(id) {
      const table = content.get(id);
      return table === undefined ? null : strategyOf(table);
    },
    isDoubleZero: (id) => content.get(id)?.doubleZero ?? false,
    versionOf: (id) => content.get(id)?.version ?? 0,
  };
}
