import { STATUS_CODES } from 'node:http';
import { ERRORS, type ErrorCode, type Problem } from '../../protocol/errors.ts';
import type { HttpResponse } from '../network/network.ts';

/** What a refused request is told, beside its code. */
export interface ProblemDetails {
  readonly detail?: string | undefined;
  readonly problems?: readonly Problem[] | undefined;
  readonly retryMs?: number | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Answers with problem+json (RFC 9457) and closes the connection, so that a refused visitor costs no descriptor.
 * Only while the response is valid; the caller corks where it answers asynchronously.
 */
export function answerProblem(res: HttpResponse, code: ErrorCode, details: ProblemDetails = {}): void {
  const { status } = ERRORS[code];
  const body = {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    code,
    detail: details.detail ?? ERRORS[code].text,
    ...(details.problems === undefined || details.problems.length === 0 ? {} : { problems: details.problems }),
    ...(details.retryMs === undefined ? {} : { retry_ms: details.retryMs }),
  };
  res.writeStatus(`${status} ${body.title}`);
  res.writeHeader('Content-Type', 'application/problem+json');
  res.writeHeader('Cache-Control', 'no-store');
  res.writeHeader('X-Content-Type-Options', 'nosniff');
  if (details.retryMs !== undefined) res.writeHeader('Retry-After', String(Math.ceil(details.retryMs / 1000)));
  for (const [name, value] of Object.entries(details.headers ?? {})) res.writeHeader(name, value);
  res.end(JSON.stringify(body), true);
}
