import { eventKeyOf } from './ingest-fields.ts';
import type { TableId } from './table.ts';
import { md5Of } from './uuid.ts';

/** Where the key of a posted object can come from, best first. */
export interface KeyMaterial {
  /** The `Idempotency-Key` header; null when there is none. */
  readonly header: string | null;
  /** `evento_id` or `rodada_id` of the object. */
  readonly event: string | null;
  /** Content that only the same object has again, since it holds the caller's own timestamp; null when it gave none. */
  readonly content: string | null;
}

/** A header's value as a key; null when it cannot be one. */
export const headerKeyOf = (value: string): string | null => eventKeyOf(value);

/** `"<table id>:<key>"`: posting the same again meets the document of the first time. */
export const documentId = (table: TableId, { header, event, content }: KeyMaterial, freshKey: () => string): string =>
  `${table}:${header ?? event ?? content ?? freshKey()}`;

/** The content key of a number: one table gives one number at one instant. */
export const numberContent = (numero: number, timestampMs: number | null): string | null =>
  timestampMs === null ? null : `${numero}@${timestampMs}`;

/** The content key of a strategy state: its fields may change within a millisecond, so all of them count. */
export const strategyContent = (fields: readonly unknown[], timestampMs: number | null): string | null =>
  timestampMs === null ? null : `e-${md5Of(JSON.stringify(fields))}@${timestampMs}`;
