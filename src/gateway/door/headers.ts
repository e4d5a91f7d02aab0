import { ProtocolError } from '../../protocol/errors.ts';
import type { DoorOptions } from '../options.ts';
import { type Answer, json } from './answer.ts';
import type { Exchange } from './exchange.ts';
import { hostCheck, originCheck } from './origins.ts';

/** What stands before every route: Host, Origin, preflight, and the headers of every answer. */
export interface Doors {
  /** Throws `wrong_host`. */
  checkHost(exchange: Exchange): void;
  /** Throws `bad_origin` when a page of a foreign origin wants to change something. */
  checkWriter(exchange: Exchange): void;
  /** The answer to OPTIONS: for a CORS preflight, or with the allowed methods alone. */
  preflight(exchange: Exchange, methods: readonly string[]): Answer;
  headersFor(exchange: Exchange): Record<string, string>;
}

/** The last four are what RunCash's frontends add to every request. */
export const REQUEST_HEADERS = [
  'accept',
  'authorization',
  'content-type',
  'idempotency-key',
  'last-event-id',
  'x-api-key',
  'x-requested-with',
  'cache-control',
  'pragma',
  'ngrok-skip-browser-warning',
  'bypass-tunnel-reminder',
].join(', ');

/** Overridden by pages, which bring a policy of their own. */
const SECURITY_HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cache-Control': 'no-store',
} as const;

/** Whether the page came from the host that it now calls. */
export function isSameOrigin(origin: string, host: string): boolean {
  return host !== '' && URL.canParse(origin) && new URL(origin).host === host.toLowerCase();
}

export function doorsOf(options: DoorOptions): Doors {
  const isHost = hostCheck(options.hosts);
  const isOrigin = originCheck(options.origins);
  const anyOrigin = options.origins.includes('*');
  const allows = (exchange: Exchange): boolean => {
    const origin = exchange.header('origin');
    return isOrigin(origin) || isSameOrigin(origin, exchange.header('host'));
  };
  const fixed = options.https
    ? { ...SECURITY_HEADERS, 'Strict-Transport-Security': 'max-age=31536000' }
    : SECURITY_HEADERS;
  return {
    checkHost: (exchange) => {
      if (!isHost(exchange.header('host'))) throw new ProtocolError('wrong_host');
    },
    checkWriter: (exchange) => {
      if (!allows(exchange)) throw new ProtocolError('bad_origin');
    },
    preflight: (exchange, methods) => {
      const asked = exchange.header('access-control-request-method');
      const allow = [...methods, 'OPTIONS'].join(', ');
      if (exchange.header('origin') === '' || asked === '') return json(200, { methods }, { Allow: allow });
      if (!allows(exchange)) throw new ProtocolError('bad_origin');
      return json(
        200,
        { methods },
        {
          'Access-Control-Allow-Methods': allow,
          'Access-Control-Allow-Headers': REQUEST_HEADERS,
          'Access-Control-Max-Age': '600',
        },
      );
    },
    headersFor: (exchange) => {
      const origin = exchange.header('origin');
      if (origin === '') return anyOrigin ? { ...fixed } : { ...fixed, Vary: 'Origin' };
      if (!allows(exchange)) return { ...fixed, Vary: 'Origin' };
      return {
        ...fixed,
        // The name itself, not `*`: a page's own origin passes where others do not.
        'Access-Control-Allow-Origin': origin,
        'Access-Control-Expose-Headers': 'ETag, Retry-After, X-Request-Id',
        Vary: 'Origin',
      };
    },
  };
}
