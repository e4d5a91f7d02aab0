import type { Cor, NumberItem } from '../protocol/messages.ts';
import type { TableId } from './table.ts';

/** A page of a table's numbers, newest first. */
export interface NumbersPage {
  readonly numeros: readonly NumberItem[];
  /** Opaque, for `before`; null at the end of the history. */
  readonly next: string | null;
}

/** Which numbers the legacy routes ask for; null does not restrict. */
export interface LegacyQuery {
  readonly tables: readonly TableId[] | null;
  readonly numero: number | null;
  readonly cor: Cor | null;
  readonly limit: number;
  readonly skip: number;
}

/** A number document as the legacy routes show it; times are ISO-8601. */
export interface LegacyNumber {
  readonly _id: string;
  readonly roleta_id: string;
  readonly roleta_nome: string;
  readonly numero: number;
  readonly cor: Cor;
  readonly timestamp: string;
  readonly criado_em: string | null;
}
