import { STATUS_CODES } from 'node:http';
import { ERRORS, ProtocolError } from '../../protocol/errors.ts';

/** What a route gives back; the exchange writes it. */
export interface Answer {
  readonly status: number;
  /** Of a 304: what the 200 would carry. It is not sent, but its length is named. */
  readonly body?: string | Uint8Array;
  /**
   * What follows a text, sent as its client takes it. It has begun, so that its first error is an answer of its own;
   * whoever does not send it ends it.
   */
  readonly rest?: AsyncGenerator<string, void, undefined>;
  /** Asked before each portion of `rest` is sent; throws when its reader may have no more, and the answer is cut. */
  readonly check?: () => void;
  readonly headers?: Readonly<Record<string, string>>;
  /** Ends the connection after this answer. */
  readonly close?: boolean;
}

type Headers = Readonly<Record<string, string>>;

/** JSON that was encoded before. */
export const jsonText = (status: number, body: string, headers: Headers = {}): Answer => ({
  status,
  body,
  headers: { 'Content-Type': 'application/json; charset=utf-8', ...headers },
});

export const json = (status: number, value: unknown, headers: Headers = {}): Answer =>
  jsonText(status, JSON.stringify(value), headers);

/**
 * What RFC 9110 asks of an error's headers: the scheme of credentials with 401, and `Retry-After` in whole seconds where
 * the request may be repeated; a second when none was named.
 */
export function errorHeaders(error: ProtocolError): Record<string, string> {
  if (ERRORS[error.code].status === 401) return { 'WWW-Authenticate': 'Bearer realm="runcash-live"' };
  if (ERRORS[error.code].retry !== 'after') return {};
  return { 'Retry-After': String(Math.max(1, Math.ceil((error.retryMs ?? 1000) / 1000))) };
}

/** The members of an error, as every JSON answer of version 1 names them. */
export function errorMembers(error: ProtocolError): Record<string, unknown> {
  return {
    code: error.code,
    detail: error.message,
    retry: ERRORS[error.code].retry,
    ...(error.retryMs === undefined ? {} : { retry_ms: error.retryMs }),
    ...(error.problems.length === 0 ? {} : { problems: error.problems }),
  };
}

/** An error as `application/problem+json` (RFC 9457), with the code of the error table. */
export function problem(error: ProtocolError, requestId: string): Answer {
  const { status } = ERRORS[error.code];
  const title = STATUS_CODES[status] ?? 'Error';
  return {
    status,
    body: JSON.stringify({ type: 'about:blank', title, status, ...errorMembers(error), request_id: requestId }),
    headers: {
      'Content-Type': 'application/problem+json',
      ...errorHeaders(error),
    },
  };
}

/** Whatever was thrown, as an error of the table; what is not one becomes `internal`, whose cause stays in the log. */
export const asProtocolError = (error: unknown): ProtocolError =>
  error instanceof ProtocolError ? error : new ProtocolError('internal', { cause: error });

/** The same answer with more headers. */
export const withHeaders = (answer: Answer, headers: Headers): Answer => ({
  ...answer,
  headers: { ...answer.headers, ...headers },
});
