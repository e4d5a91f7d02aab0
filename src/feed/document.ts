import type { SkipReason } from '../protocol/delivery.ts';
import { relevantFields } from '../roulette/fields.ts';
import { numberFrom, type StoredNumber } from '../roulette/number.ts';
import type { Source } from '../roulette/source.ts';
import { type StoredStrategy, strategyFrom } from '../roulette/strategy.ts';
import type { ResolveTable, TableId } from '../roulette/table.ts';
import { tableFrom } from '../roulette/table-document.ts';
import type { Namespace } from './change.ts';
import type { Fields } from './fields.ts';

interface HeldCommon {
  readonly ns: Namespace;
  /** Identity of the `_id` within its collection. */
  readonly key: string;
  readonly source: Source;
}

/** The few fields worth keeping, so that in-place updates can be applied without a look-up. */
interface HeldFields extends HeldCommon {
  readonly fields: Fields;
}

/** What the state keeps of one document: the fields that matter, and what they mean. */
export type Held =
  | (HeldCommon & {
      readonly kind: 'number';
      /** `_id` as it is stored. */
      readonly id: unknown;
      readonly table: TableId;
      readonly number: StoredNumber;
    })
  | (HeldFields & { readonly kind: 'strategy'; readonly table: TableId; readonly strategy: StoredStrategy })
  /** Says nothing that can be read, but an update may mend it. */
  | (HeldFields & { readonly kind: 'malformed'; readonly table: null; readonly reason: SkipReason })
  | (HeldFields & {
      readonly kind: 'table';
      /** Null while only a UUID of a table that nobody named yet is known. */
      readonly table: TableId | null;
      readonly uuid: string | null;
      readonly name: string | null;
      readonly strategy: StoredStrategy | null;
    });

export type HeldNumber = Extract<Held, { kind: 'number' }>;
export type HeldStrategy = Extract<Held, { kind: 'strategy' }>;
export type HeldTable = Extract<Held, { kind: 'table' }>;

/** Reads a document of a watched collection. */
export function holdDocument(
  ns: Namespace,
  source: Source,
  key: string,
  document: Fields,
  resolve: ResolveTable,
): Held {
  if (source.kind === 'numbers' || source.kind === 'table-numbers') {
    const parsed = numberFrom(document, source, resolve);
    if (!parsed.ok) {
      const fields = relevantFields(document, source);
      return { kind: 'malformed', ns, key, source, fields, table: null, reason: parsed.reason };
    }
    const number = parsed.value;
    return { kind: 'number', ns, key: number.key, source, id: document['_id'], table: number.table, number };
  }
  const fields = relevantFields(document, source);
  const common = { ns, key, source, fields };
  const malformed = (reason: SkipReason): Held => ({ ...common, kind: 'malformed', table: null, reason });
  switch (source.kind) {
    case 'strategies': {
      const parsed = strategyFrom(fields, source, resolve);
      if (!parsed.ok) return malformed(parsed.reason);
      return { ...common, kind: 'strategy', table: parsed.value.table, strategy: parsed.value };
    }
    case 'roletas':
    case 'metadados': {
      const parsed = tableFrom(fields, source);
      if (!parsed.ok) return malformed(parsed.reason);
      // A table document without a state is the normal case, not a malformed strategy.
      const strategy = strategyFrom(fields, source, resolve);
      const { uuid, name } = parsed.value;
      const table = parsed.value.table ?? (uuid === null ? null : resolve(uuid));
      return { ...common, kind: 'table', table, uuid, name, strategy: strategy.ok ? strategy.value : null };
    }
    default:
      return source satisfies never;
  }
}

/**
 * The document as far as it matters, for an update to be applied to. A number that reads well is kept as what it says:
 * its fields beside that would double what the state of a table takes, and reading them costs every live number.
 */
export function fieldsOf(held: Held): Fields {
  if (held.kind !== 'number') return held.fields;
  const { id, number } = held;
  return {
    _id: id,
    roleta_id: number.table,
    roleta_nome: number.name,
    numero: number.numero,
    timestamp: number.timestampMs,
  };
}
