import type { Change, ChangeOf, Fields, Namespace } from './change.ts';

/** Changes of documents that are not kept, noted while tables are read again; beyond that the read is begun anew. */
const MAX_NOTED = 50_000;

/**
 * What became of documents that are not kept, while tables are read again: such a read began before, and may bring a
 * document as it was.
 */
export interface PassedBy {
  /** Everything that passed since `begin` is noted, and not too much of it. */
  readonly isWhole: boolean;
  begin(): void;
  /** Notes a change of a document that is not kept, with that document as it was read later, if it was. */
  note(change: Extract<Change, { readonly key: string }>, reread?: ChangeOf<'reread'>): void;
  /** What a document says now: null when it is gone or unknown, undefined when it did not change. */
  said(ns: Namespace, key: string): Fields | null | undefined;
  end(): void;
}

export function createPassedBy(): PassedBy {
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
