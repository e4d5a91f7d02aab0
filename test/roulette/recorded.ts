import { readFileSync } from 'node:fs';
import { EJSON, ObjectId } from 'bson';
import { z } from 'zod';

const rows = z.array(
  z.object({
    _id: z.string(),
    roleta_id: z.string(),
    roleta_nome: z.string(),
    numero: z.number(),
    cor: z.string(),
    timestamp: z.string(),
    criado_em: z.string(),
  }),
);
const tables = z.array(z.object({ roleta_id: z.string(), roleta_nome: z.string(), uuid: z.string() }));

const read = (name: string): unknown => EJSON.parse(readFileSync(new URL(`../data/${name}`, import.meta.url), 'utf8'));

/** The 200 recorded numbers as MongoDB holds them, in `_id` order. */
export const recordedNumbers = () =>
  rows.parse(read('numbers-2025-04-11.json')).map((row) => ({
    ...row,
    _id: new ObjectId(row._id),
    timestamp: new Date(row.timestamp),
    criado_em: new Date(row.criado_em),
  }));

/** The 39 real tables. */
export const recordedTables = () => tables.parse(read('tables.json'));
