import { z } from 'zod';
import { isDocument, parseTimestamp } from '../roulette/bson-value.ts';
import { numeroFrom } from '../roulette/number.ts';
import { canonicalId, type TableId } from '../roulette/table.ts';
import { colourOf } from '../roulette/wheel.ts';
import type { Due } from './round.ts';

const tableId = z.union([z.string(), z.number()]).transform((value, context): TableId => {
  const id = canonicalId(value);
  if (id !== null) return id;
  context.addIssue({ code: 'custom', message: 'must be a table id' });
  return z.NEVER;
});

const timestamp = z.union([z.string(), z.number()]).transform((value, context): number => {
  const ms = parseTimestamp(value);
  if (ms !== null) return ms;
  context.addIssue({ code: 'custom', message: 'must be a time' });
  return z.NEVER;
});

const objectId = z.union([z.string(), z.object({ $oid: z.string() }).transform(({ $oid }) => $oid)]);

const recorded = z.object({
  _id: objectId.pipe(z.string().regex(/^[0-9a-f]{24}$/)),
  roleta_id: tableId,
  roleta_nome: z.string(),
  numero: z.number({ error: 'must be an integer from 0 to 36, or "00"' }),
  timestamp: z.union([timestamp, z.object({ $date: timestamp }).transform(({ $date }) => $date)]),
});

/** What a number is, its label has a say in. */
const withNumero = (document: unknown): unknown =>
  isDocument(document) ? { ...document, numero: numeroFrom(document['numero'], document['rotulo']) } : document;

const recording = z.array(z.preprocess(withNumero, recorded));

/** The recording cannot be read; the message names the first problems by path. */
export class RecordingError extends Error {
  override readonly name = 'RecordingError';
}

export interface ReplayOptions {
  /** Send the recorded timestamps and identities instead of those of now. */
  readonly keepTimestamps: boolean;
  readonly runId: string;
}

/**
 * Turns a recording (a JSON array of number documents in the order of insertion, as `mongoexport --jsonArray` writes
 * it) into what is to be sent when. The pace is that of the insertions; it is not the order of the timestamps, which
 * scrapers set before they insert. Throws RecordingError.
 */
export function replay(text: string, options: ReplayOptions): Due[] {
  const documents = parseRecording(text);
  let startMs = Number.POSITIVE_INFINITY;
  for (const document of documents) startMs = Math.min(startMs, document.timestamp);
  let atMs = 0;
  return documents.map((document) => {
    atMs = Math.max(atMs, document.timestamp - startMs);
    return {
      atMs,
      item: {
        kind: 'number',
        table: document.roleta_id,
        name: document.roleta_nome,
        numero: document.numero,
        cor: colourOf(document.numero),
        timestampMs: options.keepTimestamps ? document.timestamp : null,
        key: options.keepTimestamps ? document._id : `${options.runId}-${document._id}`,
        maker: document._id.slice(8, 18),
        objectId: options.keepTimestamps ? document._id : null,
      },
    };
  });
}

function parseRecording(text: string): z.infer<typeof recording> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new RecordingError('The recording is not JSON.', { cause });
  }
  const parsed = recording.safeParse(value);
  if (parsed.success && parsed.data.length > 0) return parsed.data;
  if (parsed.success) throw new RecordingError('The recording is empty.');
  const shown = parsed.error.issues.slice(0, 5).map((issue) => `${issue.path.join('.')}: ${issue.message}`);
  throw new RecordingError(`The recording has ${parsed.error.issues.length} problems: ${shown.join('; ')}`);
}
