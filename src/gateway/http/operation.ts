import type { SchemaName } from './schemas.ts';
import { PAGE } from './tables.ts';

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly about: string;
  readonly required?: boolean;
  readonly integer?: { readonly min: number; readonly max: number; readonly fallback: number };
}

/** One thing that can be asked, for people and for OpenAPI. */
export interface Operation {
  readonly method: 'get' | 'post';
  /** The route's pattern. */
  readonly pattern: string;
  readonly group: 'Ingest' | 'Tables' | 'Subscribers' | 'Running it' | 'Legacy';
  readonly summary: string;
  readonly about?: string;
  readonly access?: 'ingest' | 'admin';
  readonly parameters?: readonly Parameter[];
  readonly body?: readonly SchemaName[];
  readonly example?: unknown;
  /** Success, by status; null is text or HTML. */
  readonly answers: Readonly<Record<string, SchemaName | null>>;
  /** Statuses of errors besides 500. */
  readonly errors?: readonly number[];
  readonly errorSchema?: 'Problem' | 'LegacyError';
}

export const LIMIT: Parameter = { name: 'limit', in: 'query', about: 'How many numbers.', integer: PAGE };
/** What may go wrong with a post. */
export const INGEST_ERRORS = [400, 401, 403, 409, 413, 415, 429, 503, 504] as const;
/** A number as an example. */
export const SPIN = { roleta_id: '2010165', roleta_nome: 'Roulette', numero: 17, timestamp: '2026-11-24T13:00:00Z' };
