import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';

/** The algorithms of RFC 7518 and RFC 8037 that a key may be bound to. `none` is not among them. */
const FAMILIES = {
  HS: ['HS256', 'HS384', 'HS512'],
  RSA: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  'P-256': ['ES256'],
  'P-384': ['ES384'],
  'P-521': ['ES512'],
  // RFC 9864 names the curve; most issuers still say EdDSA.
  Ed25519: ['EdDSA', 'Ed25519'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** What a key set from an address may verify: never an HMAC, whose secret would be public there. */
export const PUBLIC_ALGORITHMS: readonly string[] = Object.entries(FAMILIES).flatMap(([family, names]) =>
  family === 'HS' ? [] : [...names],
);

/** RFC 7518, 3.2: a secret is at least as long as the shortest hash. RFC 7518, 3.3: RSA from 2048 bits. */
const MIN_SECRET_BYTES = 32;
const MIN_RSA_BITS = 2048;

/** One key that subscriber tokens may be signed with, bound to what it may verify. */
export interface JwtKey {
  /** The `kid` that tokens name it by; null for a key that is tried for every token. */
  readonly id: string | null;
  readonly algorithms: readonly string[];
  readonly material: KeyObject;
}

/** OpenSSL's names of the NIST curves. */
const CURVES: Readonly<Record<string, keyof typeof FAMILIES>> = {
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
};

function familyOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): keyof typeof FAMILIES | null {
  if (type === 'rsa') return 'RSA';
  if (type === 'ed25519') return 'Ed25519';
  return type === 'ec' ? (CURVES[details?.namedCurve ?? ''] ?? null) : null;
}

/** The algorithms of a family, or the one asked for. Throws RangeError when it is not of that family. */
function bound(family: keyof typeof FAMILIES, algorithm: string | null): readonly string[] {
  const names: readonly string[] = FAMILIES[family];
  if (algorithm === null) return names;
  if (names.includes(algorithm)) return [algorithm];
  throw new RangeError(`${algorithm} is not an algorithm of this key; ${names.join(', ')} would be`);
}

/** A shared secret for HMAC. Throws RangeError, without the secret, when it is too short or bound to something else. */
export function secretKey(id: string | null, secret: string, algorithm: string | null = null): JwtKey {
  const bytes = Buffer.from(secret, 'utf8');
  if (bytes.length < MIN_SECRET_BYTES) {
    throw new RangeError(`a secret must have at least ${MIN_SECRET_BYTES} bytes (RFC 7518, 3.2)`);
  }
  return { id, algorithms: bound('HS', algorithm), material: createSecretKey(bytes) };
}

/**
 * A public key or certificate in PEM. An RSA key verifies RS and PS, unless `algorithm` names one. Throws RangeError
 * for a private key, a key of another kind, a short RSA key, or text that is no key.
 */
export function publicKey(id: string | null, pem: string, algorithm: string | null = null): JwtKey {
  if (/PRIVATE KEY/.test(pem)) throw new RangeError('this is a private key: the service needs the public one alone');
  let material: KeyObject;
  try {
    material = createPublicKey(pem);
  } catch (cause) {
    throw new RangeError('this is not a public key in PEM', { cause });
  }
  const family = familyOf(material);
  if (family === null) throw new RangeError('this key is neither RSA, nor P-256, P-384 or P-521, nor Ed25519');
  const bits = material.asymmetricKeyDetails?.modulusLength;
  if (bits !== undefined && bits < MIN_RSA_BITS) {
    throw new RangeError(`an RSA key must have at least ${MIN_RSA_BITS} bits, this one has ${bits} (RFC 7518, 3.3)`);
  }
  return { id, algorithms: bound(family, algorithm), material };
}
