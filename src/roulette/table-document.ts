import { nameOf, type RawDocument, textOf } from './bson-value.ts';
import { accept, type Parsed, skip } from './parsed.ts';
import type { Source } from './source.ts';
import { canonicalId, type ResolveTable, type TableId, uuidTextOf } from './table.ts';

/** What a table's own document says. One of `table` and `uuid` is given; a UUID alone names a table only if known. */
export interface TableDocument {
  readonly table: TableId | null;
  readonly uuid: string | null;
  readonly name: string | null;
  /** It says that the wheel has a double zero (`duplo_zero: true`). */
  readonly doubleZero: boolean;
  /** The collection of its numbers that it names (`colecao`); null where it names none. */
  readonly collection: string | null;
}

const isPresent = (value: unknown): boolean => value !== undefined && value !== null && value !== '';

/** Reads a document of `roletas` (`_id` is an id or a UUID) or `metadados` (`roleta_id`). */
export function tableFrom(document: RawDocument, source: Source): Parsed<TableDocument> {
  switch (source.kind) {
    case 'numbers':
    case 'table-numbers':
    case 'strategies':
      return skip('wrong_source');
    case 'roletas':
    case 'metadados': {
      const own = source.kind === 'roletas' ? document['_id'] : undefined;
      const name = nameOf(document['nome']) ?? nameOf(document['roleta_nome']);
      const table = canonicalId(document['roleta_id']) ?? canonicalId(own);
      const uuid = uuidTextOf(document['roleta_id']) ?? uuidTextOf(own);
      if (table !== null || uuid !== null) {
        const collection = source.kind === 'metadados' ? textOf(document['colecao']) : null;
        return accept({ table, uuid, name, doubleZero: document['duplo_zero'] === true, collection });
      }
      return skip(isPresent(document['roleta_id']) || isPresent(own) ? 'unknown_table' : 'no_table');
    }
    default:
      return source satisfies never;
  }
}

/** The table that a `roleta_id` names, asking `resolve` for UUIDs. */
export function tableOf(reference: unknown, resolve?: ResolveTable): Parsed<TableId> {
  const table = canonicalId(reference);
  if (table !== null) return accept(table);
  if (!isPresent(reference)) return skip('no_table');
  const uuid = uuidTextOf(reference);
  const known = uuid === null ? null : (resolve?.(uuid) ?? null);
  return known === null ? skip('unknown_table') : accept(known);
}
