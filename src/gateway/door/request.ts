import { ProtocolError } from '../../protocol/errors.ts';
import type { HttpRequest } from '../network/network.ts';

/** A request line and its headers, copied: uWebSockets.js lends the request only until the first await. */
export interface RequestHead {
  /** Upper case. */
  readonly method: string;
  readonly path: string;
  /** As it came, without `?`: for values whose commas matter before decoding. */
  readonly rawQuery: string;
  readonly query: URLSearchParams;
  /** Lower-case names; a name that came several times is joined with `, `. */
  readonly headers: ReadonlyMap<string, string>;
  readonly bytes: number;
  /** Names of headers that may come only once and came again. */
  readonly repeated: readonly string[];
}

/** Two of one of these mean two readings of one request, and a proxy in front may take the other one. */
const SINGLE: ReadonlySet<string> = new Set([
  'authorization',
  'content-encoding',
  'content-length',
  'content-type',
  'host',
  'idempotency-key',
  'origin',
  'transfer-encoding',
  'x-api-key',
]);

export function headOf(req: HttpRequest): RequestHead {
  const headers = new Map<string, string>();
  const repeated: string[] = [];
  const path = req.getUrl();
  const rawQuery = req.getQuery() ?? '';
  let bytes = path.length + rawQuery.length;
  req.forEach((name, value) => {
    bytes += name.length + value.length + 4;
    const before = headers.get(name);
    if (before !== undefined && SINGLE.has(name)) repeated.push(name);
    headers.set(name, before === undefined ? value : `${before}, ${value}`);
  });
  const query = new URLSearchParams(rawQuery);
  return { method: req.getMethod().toUpperCase(), path, rawQuery, query, headers, bytes, repeated };
}

/**
 * The body's framing can be read in two ways (RFC 9112, 6.3). uWebSockets.js takes the first of two lengths, and any
 * transfer coding for `chunked`; a proxy may not. Such a request is refused and its connection ends.
 */
export function isAmbiguous(head: RequestHead): boolean {
  const coding = head.headers.get('transfer-encoding');
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') return true;
  if (coding !== undefined && head.headers.has('content-length')) return true;
  return head.repeated.some((name) => name === 'content-length' || name === 'transfer-encoding' || name === 'host');
}

/** Throws `headers_too_large`, or `invalid` naming each header that came twice, or that Host is missing (RFC 9112, 3.2). */
export function checkHead(head: RequestHead, maxHeaderBytes: number): void {
  if (head.bytes > maxHeaderBytes) throw new ProtocolError('headers_too_large');
  if (isAmbiguous(head)) {
    throw new ProtocolError('invalid', { problems: [{ path: 'headers', message: 'the framing is ambiguous' }] });
  }
  if (!head.headers.has('host')) {
    throw new ProtocolError('invalid', { problems: [{ path: 'host', message: 'is required' }] });
  }
  if (head.repeated.length > 0) {
    const problems = head.repeated.map((name) => ({ path: name, message: 'this header may come only once' }));
    throw new ProtocolError('invalid', { problems });
  }
}

/** Whether `Accept` names a media type itself (`*\/*` does not count) and does not rule it out with `q=0`. */
export function acceptNames(accept: string, type: string): boolean {
  return accept.split(',').some((entry) => {
    const [name = '', ...parameters] = entry.split(';').map((part) => part.trim().toLowerCase());
    return name === type && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
  });
}
