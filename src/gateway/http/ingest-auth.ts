import { timingSafeEqual } from 'node:crypto';
import { ProtocolError } from '../../protocol/errors.ts';
import type { Exchange } from '../door/exchange.ts';
import { isSameOrigin } from '../door/headers.ts';
import { hostCheck, originCheck } from '../door/origins.ts';
import { isDirectLoopback } from '../door/peer.ts';
import { type Credentials, credentialsOf, digestOf } from './admin.ts';
import type { HttpOptions } from './options.ts';

/** Names who posts, for logs and metrics: the name of a key, `local`, or `open`. Throws `unauthorized` or `forbidden`. */
export type IngestCheck = (exchange: Exchange) => string;

/** Names by which this machine calls itself: a page that points its own name at 127.0.0.1 has another Host. */
const isLoopbackHost = hostCheck(['localhost', '127.0.0.1', '[::1]']);

/**
 * With keys: one of them must come, by Bearer or X-Api-Key (`secret` or `name:secret`) or Basic (`name`, `secret`); all
 * are compared, always, in constant time. Without keys: everybody if `ingestOpen`, else only who calls from this machine
 * without a proxy between and without being a foreign page in a browser here.
 */
export function ingestCheck(options: HttpOptions): IngestCheck {
  const keys = options.ingestKeys.map(({ name, secret }) => ({
    name,
    secret: digestOf(secret),
    pair: digestOf(`${name}:${secret}`),
  }));
  const isNamedOrigin = originCheck(options.origins.filter((entry) => entry !== '*'));

  const holderOf = (given: Credentials): string | null => {
    const digest = digestOf(given.scheme === 'token' ? given.token : `${given.user}:${given.password}`);
    let holder: string | null = null;
    for (const key of keys) {
      const isPair = timingSafeEqual(digest, key.pair);
      const isSecret = timingSafeEqual(digest, key.secret);
      if (isPair || (isSecret && given.scheme === 'token')) holder = key.name;
    }
    return holder;
  };

  if (keys.length > 0) {
    return (exchange) => {
      const holder = credentialsOf(exchange)
        .map(holderOf)
        .find((name) => name !== null);
      if (holder === undefined || holder === null) throw new ProtocolError('unauthorized');
      return holder;
    };
  }
  if (options.ingestOpen) return () => 'open';
  return (exchange) => {
    const host = exchange.header('host');
    const origin = exchange.header('origin');
    const local = isDirectLoopback(exchange.peer, exchange.headers) && isLoopbackHost(host);
    if (!local) {
      throw new ProtocolError('unauthorized', {
        message: 'Without INGEST_KEYS only programs on this machine may post, and not through a proxy.',
      });
    }
    if (!isNamedOrigin(origin) && !isSameOrigin(origin, host)) throw new ProtocolError('bad_origin');
    return 'local';
  };
}
