import { setPriority } from 'node:os';
import { z } from 'zod';
import { FLOODS } from './flood-kinds.ts';

/** A process that floods a service until it is ended. It gets what the others leave of the processors. */

const LOWEST_PRIORITY = 19;

const { kind, ...target } = z
  .object({ kind: z.string(), port: z.number(), token: z.string(), key: z.string() })
  .parse(JSON.parse(process.argv[2] ?? ''));
const flood = FLOODS[kind];
if (flood === undefined) throw new Error(`There is no flood ${kind}.`);
setPriority(LOWEST_PRIORITY);
process.once('disconnect', () => process.exit(0));
console.log('flooding');
await flood(target);
