import type { NumberDocument } from '../roulette/number.ts';
import { isPlacing } from '../roulette/source.ts';
import type { TableId } from '../roulette/table.ts';
import type { Base, BaseDocument } from '../store/base.ts';
import { applyTo, patchable, type StateOptions, type StateParts } from './apply.ts';
import type { Change, ChangeOf, Fields, Namespace } from './change.ts';
import { createUnknowns, REREAD, type StateDocument, touchedFields } from './document.ts';
import { createDocuments, type Documents } from './documents.ts';
import { floorOf, type Outcome, type When } from './outcome.ts';

export interface State
  extends Pick<
    Documents,
    | 'directory'
    | 'tables'
    | 'has'
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

/** Changes of documents that are not kept, noted while tables are read again; beyond that the read is begun anew. */
const MAX_NOTED = 50_000;

/**
 * What became of documents that are not kept, while tables are read again: such a read began before, and may bring a
 * document as it was.
 */
interface PassedBy {
  /** Everything that passed since `begin` is noted, and not too much of it. */
  readonly isWhole: boolean;
  begin(): void;
  /** Notes a change of a document that is not kept, with that document as it was read later, if it was. */
  note(change: Extract<Change, { readonly key: string }>, reread?: ChangeOf<'reread'>): void;
  /** What a document says now: null when it is gone or unknown, undefined when it did not change. */
  said(ns: Namespace, key: string): Fields | null | undefined;
  end(): void;
}

function createPassedBy(): PassedBy {
  let noted: Map<string, Fields | null> | null = null;
  return {
    get isWhole() {
      return noted !== null && noted.size <= MAX_NOTED;
    },
    begin() {
      noted = new Map();
    },
    note(change, reread) {
      if (noted === null || noted.size > MAX_NOTED) return;
      noted.set(`${change.ns}|${change.key}`, 'document' in change ? change.document : (reread?.document ?? null));
    },
    said: (ns, key) => noted?.get(`${ns}|${key}`),
    end() {
      noted = null;
    },
  };
}

function markUnfinished({ options, documents }: StateParts, ns: Namespace, table: TableId): void {
  const source = options.sourceOf(ns);
  if (source !== null) documents.markUnfinished(table, source);
}

/** What of a read belongs where its table lost too much, as it is now. */
function lostOne(
  { options, documents }: StateParts,
  passedBy: PassedBy,
  tables: ReadonlySet<TableId>,
  read: BaseDocument | NumberDocument,
): StateDocument | null {
  const { ns, key } = read;
  const source = options.sourceOf(ns);
  if (source === null || documents.get(ns, key) !== undefined) return null;
  const said = passedBy.said(ns, key);
  if (said === null) return null;
  const readNow = (document: Fields): StateDocument => documents.read(ns, source, key, document);
  const found = said === undefined ? ('number' in read ? read : readNow(read.document)) : readNow(said);
  // What is newer comes, or came, by the stream.
  return found.table !== null && tables.has(found.table) && documents.isBelow(found) ? found : null;
}

function mend(
  kept: StateParts,
  passedBy: PassedBy,
  tables: ReadonlySet<TableId>,
  base: Omit<Base, 'skipped'>,
): boolean {
  if (!passedBy.isWhole) return false;
  const { documents, unknowns } = kept;
  const found = [...base.documents, ...base.numbers].flatMap((read) => lostOne(kept, passedBy, tables, read) ?? []);
  passedBy.end();
  for (const table of tables) documents.unbound(table);
  for (const document of found) {
    documents.place(document, false);
    unknowns.mark(document.ns, document.key, [REREAD]);
  }
  for (const { ns, table } of base.incomplete) if (tables.has(table)) documents.markIncomplete(ns, table);
  for (const { ns, table } of base.unfinished) if (tables.has(table)) markUnfinished(kept, ns, table);
  return true;
}

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
  const born = new Set<string>();
  const kept: StateParts = { options, documents, unknowns, exhausted, born };
  const passedBy = createPassedBy();

  return {
    ...documents,
    markUnfinished: (ns, table) => markUnfinished(kept, ns, table),
    apply(change, when, reread) {
      added = [];
      named = [];
      const out = applyTo(kept, change, when, reread);
      if ('key' in change && documents.get(change.ns, change.key) === undefined) passedBy.note(change, reread);
      return added.length + named.length === 0 ? out : [...added, ...out, ...named];
    },
    isDoubtful(change, when) {
      if (change.kind !== 'update' || options.sourceOf(change.ns) === null) return false;
      if (patchable(kept, change.ns, change.key) !== undefined) return false;
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
    mend: (tables, base) => mend(kept, passedBy, tables, base),
    findPartial: () => [...documents.known()].filter(documents.isPartial),
  };
}
