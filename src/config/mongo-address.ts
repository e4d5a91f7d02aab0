import { existsSync } from 'node:fs';
import { MongoClient } from 'mongodb';
import { ConnectionString } from 'mongodb-connection-string-url';

/**
 * What is wrong with the address of a MongoDB, in words without any of its secrets; null when the driver takes it as it
 * is. Asks the driver itself, so that nothing it refuses is found out only when the service connects.
 */
export function problemOfAddress(uri: string): string | null {
  try {
    const { options } = new MongoClient(uri);
    if (options.srvHost === undefined && options.hosts.some(({ host }) => host === '')) return 'has an empty host name';
    for (const name of ['tlsCAFile', 'tlsCRLFile', 'tlsCertificateKeyFile'] as const) {
      const path = options[name];
      if (path !== undefined && !existsSync(path)) return `names a file that is not there: ${name}=${path}`;
    }
    return null;
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const words = secretsOf(uri).reduce((text, part) => text.replaceAll(part, '(hidden)'), said);
    const isPassword = /unescaped|malformed|Invalid connection string|Protocol and host/i.test(said);
    const remedy = isPassword ? '; write special characters of the name or password as %XX (encodeURIComponent)' : '';
    return `cannot be used: ${words}${remedy}`;
  }
}

const READ_PREFERENCE = ['readPreference', 'readPreferenceTags', 'maxStalenessSeconds'];

/**
 * The address without a read preference. What is read is read from the primary, since it has to see what was just
 * written, or from where FEED_READ_PREFERENCE says; the driver refuses `maxStalenessSeconds` beside a primary.
 */
export function withoutReadPreference(uri: string): string {
  const address = new ConnectionString(uri);
  const { searchParams } = address;
  // Names of options are found in any case. An address without any of these stays as it was written.
  if (!READ_PREFERENCE.some((name) => searchParams.has(name))) return uri;
  for (const name of READ_PREFERENCE) searchParams.delete(name);
  return address.toString();
}

/** The address for a log or a terminal: hosts and replica set, nothing else of it. Takes an address that can be used. */
export function shownAddress(uri: string): string {
  const { srvHost, hosts, replicaSet } = new MongoClient(uri).options;
  const where = srvHost === undefined ? `mongodb://${hosts.map(String).join(',')}` : `mongodb+srv://${srvHost}`;
  return `${where}/${replicaSet === undefined ? '' : `?replicaSet=${replicaSet}`}`;
}

/** Below this a text is no secret, and hiding it would spoil every line. */
const MIN_SECRET = 4;

/**
 * Every text of an address that must not be shown: name and password, as written and as meant, and the values of
 * options that carry secrets. Also of an address that cannot be parsed: then all before the last @.
 */
export function secretsOf(uri: string): readonly string[] {
  const rest = uri.replace(/^[^/]*\/\//, '');
  const at = rest.lastIndexOf('@');
  const login = at < 0 ? '' : rest.slice(0, at);
  const colon = login.indexOf(':');
  const password = colon < 0 ? '' : login.slice(colon + 1);
  const inOptions = [...uri.matchAll(/[?&](?:authMechanismProperties|tlsCertificateKeyFilePassword)=([^&]*)/gi)];
  const found = [login, password, ...password.split(/[@/?#:]/), ...inOptions.map((match) => match[1] ?? '')];
  const meant = found.flatMap((text) => [text, decoded(text)]);
  return [...new Set(meant)].filter((text) => text.length >= MIN_SECRET).sort((a, b) => b.length - a.length);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // Not percent-encoded as it should be, which is what is being reported: the text is taken as it is.
    return text;
  }
}
