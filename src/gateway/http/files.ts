import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { type Answer, withHeaders } from '../door/answer.ts';
import { acceptNames } from '../door/arrival.ts';
import type { Exchange } from '../door/exchange.ts';
import type { StaticFile } from './deps.ts';
import type { Respond, Route } from './route.ts';

/** Below, the header of gzip costs more than it saves. */
const MIN_GZIP_BYTES = 1024;

const COMPRESSIBLE = /^(?:text\/|application\/(?:json|javascript|manifest\+json)|image\/svg\+xml)/;

/** What a policy may contain: a Host header can contain anything. */
const PLAIN_HOST = /^(?:[a-z0-9.-]+|\[[0-9a-f:]+\])(?::\d{1,5})?$/i;

/** A WebSocket of one host, which older browsers do not count to `'self'`, over TLS and without. */
const socketsOf = (host: string): string => (PLAIN_HOST.test(host) ? ` ws://${host} wss://${host}` : '');

/**
 * Pages load scripts, styles and data from here only, and from servers that the operator lists; `data:` images are icons
 * inside styles.
 */
const pagePolicy = (servers: readonly string[], host: string): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "manifest-src 'self'",
    `connect-src 'self'${socketsOf(host)}${servers.map((origin) => ` ${origin} ${origin.replace(/^http/, 'ws')}`).join('')}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');

/** Whether an `If-None-Match` names the tag (RFC 9110, 13.1.2: weak comparison, a list, or `*`). */
export function matchesTag(ifNoneMatch: string, tag: string): boolean {
  if (ifNoneMatch === '') return false;
  return ifNoneMatch.split(',').some((entry) => {
    const candidate = entry.trim().replace(/^W\//, '');
    return candidate === '*' || candidate === tag;
  });
}

/** Answers with a file from memory: compressed where that helps, and 304 when the browser has it. */
function fileAnswer(file: StaticFile, servers: readonly string[] = []): Respond {
  const plain = Buffer.from(file.body);
  const isPage = file.type.startsWith('text/html');
  const worthIt = plain.length >= MIN_GZIP_BYTES && COMPRESSIBLE.test(file.type);
  const gzipped = worthIt ? gzipSync(plain, { level: 9 }) : null;
  const hash = createHash('sha256').update(plain).digest('base64url').slice(0, 22);
  return (exchange: Exchange): Answer => {
    const zip = gzipped !== null && acceptNames(exchange.header('accept-encoding'), 'gzip') ? gzipped : null;
    // Other bytes, other tag: a cache must not mix the two.
    const tag = zip === null ? `"${hash}"` : `"${hash}-gz"`;
    const headers = {
      'Content-Type': file.type,
      ETag: tag,
      'Cache-Control': file.immutable ? 'public, max-age=31536000, immutable' : 'public, no-cache',
      Vary: isPage ? 'Accept, Accept-Encoding, Origin' : 'Accept-Encoding, Origin',
      ...(isPage ? { 'Content-Security-Policy': pagePolicy(servers, exchange.header('host')) } : {}),
      ...(zip === null ? {} : { 'Content-Encoding': 'gzip' }),
    };
    const status = matchesTag(exchange.header('if-none-match'), tag) ? 304 : 200;
    return { status, headers, body: zip ?? plain };
  };
}

/** One route for each file but `/`, which also answers programs. Throws RangeError for a path that is no plain one. */
export function fileRoutes(files: ReadonlyMap<string, StaticFile>, servers: readonly string[]): Route[] {
  return [...files]
    .filter(([path]) => path !== '/')
    .map(([path, file]) => {
      // `:` and `*` mean something else in a pattern.
      if (!/^\/[\w./@-]+$/.test(path)) throw new RangeError(`"${path}" cannot be the address of a file`);
      return { pattern: path, get: fileAnswer(file, servers) };
    });
}

/** The page for a browser, whose `Accept` names text/html, when there is one; else what programs get. */
export function pageOr(page: StaticFile | undefined, servers: readonly string[], forPrograms: () => Answer): Respond {
  const answer = page === undefined ? null : fileAnswer(page, servers);
  return (exchange) =>
    answer !== null && acceptNames(exchange.header('accept'), 'text/html')
      ? answer(exchange)
      : withHeaders(forPrograms(), { Vary: 'Accept, Origin' });
}
