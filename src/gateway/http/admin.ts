import { createHash, timingSafeEqual } from 'node:crypto';
import type { Exchange } from '../door/exchange.ts';
import { isLocalProgram } from '../door/origins.ts';

/** Secrets are compared as digests: equal length whatever a caller sends, and no early end tells how much was right. */
export const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Credentials that came with a request. */
export type Credentials =
  | { readonly scheme: 'token'; readonly token: string }
  | { readonly scheme: 'basic'; readonly user: string; readonly password: string };

/** Every credential of a request: `Authorization: Bearer`, `Authorization: Basic` (RFC 7617), `X-Api-Key`. */
export function credentialsOf(exchange: Exchange): Credentials[] {
  const found: Credentials[] = [];
  const apiKey = exchange.header('x-api-key').trim();
  if (apiKey !== '') found.push({ scheme: 'token', token: apiKey });
  const match = /^(bearer|basic) +(\S+)$/i.exec(exchange.header('authorization').trim());
  if (match === null) return found;
  const [, scheme = '', text = ''] = match;
  if (scheme.toLowerCase() === 'bearer') return [...found, { scheme: 'token', token: text }];
  const decoded = Buffer.from(text, 'base64').toString('utf8');
  const colon = decoded.indexOf(':');
  if (colon < 0) return found;
  return [...found, { scheme: 'basic', user: decoded.slice(0, colon), password: decoded.slice(colon + 1) }];
}

/**
 * Whether a request may see and do what is for operators. Where an admin key is set, it is always asked for; where none
 * is, a program on this machine may.
 */
export type AdminCheck = (exchange: Exchange) => boolean;

export function adminCheck(adminKey: string | null): AdminCheck {
  if (adminKey === null) return (exchange) => isLocalProgram(exchange);
  const wanted = digestOf(adminKey);
  return (exchange) => {
    const secrets = credentialsOf(exchange).map((given) => (given.scheme === 'token' ? given.token : given.password));
    return secrets.map((secret) => timingSafeEqual(digestOf(secret), wanted)).includes(true);
  };
}
