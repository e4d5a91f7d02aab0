import { createHash } from 'node:crypto';
import type { TableId } from './table.ts';

/** The MD5 of a text, 32 hex digits. A fingerprint only: nothing here is secret. */
export const md5Of = (text: string): string => createHash('md5').update(text, 'utf8').digest('hex');

/** The UUID under which older writers know a table: the MD5 of its canonical id, written as a UUID. */
export function uuidOf(id: TableId): string {
  const hex = md5Of(id);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}
