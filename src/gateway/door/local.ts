import type { Exchange } from './exchange.ts';
import { isSameOrigin } from './headers.ts';
import { hostCheck, type OriginCheck } from './origins.ts';
import { isDirectLoopback } from './peer.ts';

/** Names by which this machine calls itself: a page that points its own name at 127.0.0.1 has another Host. */
const isLoopbackHost = hostCheck(['localhost', '127.0.0.1', '[::1]']);

/** Browsers say by themselves where a request began, also where they send no Origin (Fetch Metadata). */
const fromElsewhere = (exchange: Exchange): boolean => /^(cross|same)-site$/i.test(exchange.header('sec-fetch-site'));

/**
 * Whether a program on this machine calls: through the loopback interface, by a loopback name, not through a proxy.
 * A web page in a browser here passes only when it is the service's own, or of an origin that `isNamedOrigin` takes.
 * A proxy on this machine that adds no header and keeps a loopback Host cannot be told apart: keys are for that.
 */
export function isLocalProgram(exchange: Exchange, isNamedOrigin: OriginCheck = () => false): boolean {
  const host = exchange.header('host');
  if (!isDirectLoopback(exchange.peer, exchange.headers) || !isLoopbackHost(host)) return false;
  const origin = exchange.header('origin');
  if (origin === '') return !fromElsewhere(exchange);
  return isSameOrigin(origin, host) || isNamedOrigin(origin);
}
