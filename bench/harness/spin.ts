import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type NewNumber, topicOf } from '../../src/protocol/messages.ts';
import type { Position } from '../../src/protocol/position.ts';
import { colourOf } from '../../src/roulette/wheel.ts';

/** One number of a bench: which one it is, and when it was meant to be sent (microseconds of `nowUs`). */
export interface Spin {
  readonly seq: number;
  readonly intendedUs: number;
  readonly table: Table;
}

export interface Table {
  readonly id: string;
  readonly name: string;
}

/** Every id begins so, in front of 8 digits of sequence, a dash and 16 digits of the intended time. */
export const MARK = 'bench-';
export const SEQ_AT = MARK.length;
export const SEQ_DIGITS = 8;
export const INTENDED_AT = SEQ_AT + SEQ_DIGITS + 1;
export const INTENDED_DIGITS = 16;

const digits = (value: number, count: number): string => Math.floor(value).toString().padStart(count, '0');

export const idOf = ({ seq, intendedUs }: Spin): string =>
  `${MARK}${digits(seq, SEQ_DIGITS)}-${digits(intendedUs, INTENDED_DIGITS)}`;

/** Neighbours differ, so that none looks like a repetition to the service. */
export const numberOf = (seq: number): number => seq % 37;

/** The document as a scraper inserts it. */
export function documentOf(spin: Spin) {
  const numero = numberOf(spin.seq);
  const now = new Date();
  return {
    _id: idOf(spin),
    roleta_id: spin.table.id,
    roleta_nome: spin.table.name,
    numero,
    cor: colourOf(numero),
    timestamp: now,
    criado_em: now,
  };
}
export type SpinDocument = ReturnType<typeof documentOf>;

/** A document that a contender read from MongoDB. */
export const spinDocument = z.object({
  _id: z.string(),
  roleta_id: z.string(),
  roleta_nome: z.string(),
  numero: z.number(),
  cor: z.enum(['verde', 'vermelho', 'preto']),
  timestamp: z.date(),
});

/**
 * The message that contenders send for it: field by field what the service sends, so that all move the same bytes.
 * Their positions say nothing; they are of the same length.
 */
export function messageOf(document: z.infer<typeof spinDocument>, position: Position, prev: Position): NewNumber {
  return {
    type: 'new_number',
    topic: topicOf(document.roleta_id),
    position,
    prev,
    roleta_id: document.roleta_id,
    roleta_nome: document.roleta_nome,
    id: document._id,
    numero: document.numero,
    cor: document.cor,
    timestamp: document.timestamp.toISOString(),
  };
}

const data = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../../test/data/${name}`, import.meta.url), 'utf8'));

/** RunCash's tables. */
export function loadTables(): Table[] {
  const rows = z.array(z.object({ roleta_id: z.string(), roleta_nome: z.string() })).parse(data('tables.json'));
  return rows.map(({ roleta_id, roleta_nome }) => ({ id: roleta_id, name: roleta_nome }));
}

export interface Recorded {
  /** Milliseconds after the first. */
  readonly afterMs: number;
  readonly table: Table;
}

/** The numbers of 2025-04-11 as they came: which table, and when it was inserted. */
export function loadRecording(): Recorded[] {
  const row = z.object({ roleta_id: z.string(), roleta_nome: z.string(), criado_em: z.iso.datetime() });
  const rows = z.array(row).parse(data('numbers-2025-04-11.json'));
  const first = Date.parse(rows[0]?.criado_em ?? '');
  return rows.map(({ roleta_id, roleta_nome, criado_em }) => ({
    afterMs: Date.parse(criado_em) - first,
    table: { id: roleta_id, name: roleta_nome },
  }));
}
