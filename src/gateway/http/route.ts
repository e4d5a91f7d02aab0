import type { z } from 'zod';
import type { ProtocolError } from '../../protocol/errors.ts';
import type { Answer } from '../door/answer.ts';
import type { Exchange } from '../door/exchange.ts';

export type Respond = (exchange: Exchange) => Answer | Promise<Answer>;

/** One address: a uWebSockets.js pattern and what it does with GET (and HEAD), POST and DELETE. */
export interface Route {
  /** Also the label in metrics, so it never holds what a client wrote. */
  readonly pattern: string;
  readonly get?: Respond;
  readonly post?: Respond;
  readonly delete?: Respond;
  /** Other shape of an error, for addresses older than version 1. */
  readonly fail?: (error: ProtocolError, exchange: Exchange) => Answer;
  /** Methods that need MongoDB at rest: an instance without one passes them on. */
  readonly atRest?: readonly ('get' | 'post' | 'delete')[];
  /** For operators: answered also on the last connections that the service can hold. */
  readonly essential?: true;
  /** What `/openapi.json` and `/docs` tell about each method. Files have none. */
  readonly operations?: { readonly get?: Operation; readonly post?: Operation; readonly delete?: Operation };
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly about: string;
  readonly required?: boolean;
  readonly integer?: { readonly min: number; readonly max: number; readonly fallback: number };
}

/** The groups of `/docs`, in its order. */
export const GROUPS = ['Ingest', 'Tables', 'Subscribers', 'Running it', 'Legacy'] as const;

/** One thing that can be asked, for people and for OpenAPI. */
export interface Operation {
  readonly group: (typeof GROUPS)[number];
  readonly summary: string;
  readonly about?: string;
  /** Who may: holders of an ingest key, of the admin key, or those who may see the table. Absent: everybody. */
  readonly access?: 'ingest' | 'admin' | 'tables';
  readonly parameters?: readonly Parameter[];
  /** One of these, each named in `SCHEMAS`. */
  readonly body?: readonly z.ZodType[];
  readonly example?: unknown;
  /** Success, by status, each named in `SCHEMAS`; null is text or HTML. */
  readonly answers: Readonly<Record<string, z.ZodType | null>>;
  /** Other media types that a success may have, where `Accept` names one. */
  readonly formats?: readonly string[];
  /** Statuses of errors besides 500. */
  readonly errors?: readonly number[];
  /** Where errors are not `Problem`. */
  readonly errorSchema?: z.ZodType;
}

/** What may go wrong with a post. */
export const INGEST_ERRORS = [400, 401, 403, 409, 413, 415, 429, 503, 504] as const;

/** A number as an example. */
export const SPIN = { roleta_id: '2010165', roleta_nome: 'Roulette', numero: 17, timestamp: '2026-11-24T13:00:00Z' };
