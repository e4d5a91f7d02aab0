import { describe, expect, it } from 'vitest';
import { ConfigError, loadConfig, secretsIn } from '../../src/config/load.ts';
import { shownAddress } from '../../src/config/mongo-address.ts';
import { makeRedact } from '../../src/log/redact.ts';

/** The problems with an address, as `config check` and a start say them. */
function problemsOf(uri: string): readonly string[] {
  try {
    loadConfig({ MONGODB_URI: uri });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems;
  }
}

describe('MONGODB_URI', () => {
  it.each([
    'mongodb://scraper:s3cr3t#pw@127.0.0.1:27199/',
    'mongodb://scraper:s3cr3t/pw@127.0.0.1:27199/',
    'mongodb://scraper:s3cr3t?pw@127.0.0.1:27199/',
    'mongodb://scraper:s3cr3t@pw@127.0.0.1:27199/',
    'mongodb://scraper:p:s3cr3t@h1,h2/db name/',
    'mongodb://scraper:s3cr3t%zz@h/',
    'mongodb://scraper:s3cr3t[pw@h/',
    'mongodb+srv://scraper:s3cr3t/pw@cluster.invalid/',
    'mongodb://scraper:s3cr3t@@h/',
  ])('%s is refused in words that do not show the password', (uri) => {
    const [problem = '', ...more] = problemsOf(uri);
    expect(more).toEqual([]);
    expect(problem).toMatch(/^MONGODB_URI cannot be used: .*write special characters .* as %XX/);
    expect(problem).not.toContain('s3cr3t');
  });

  it.each([
    ['mongodb://h/?useNewUrlParser=true', 'usenewurlparser is not supported'],
    ['mongodb://h:99999/', 'h:99999'],
    ['mongodb://u:s3cr3t@h,/', 'empty host name'],
    ['mongodb://a,b/?directConnection=true', 'exactly one host'],
    ['mongodb://a/?replicaSet=', 'no value'],
    ['mongodb://a/?maxPoolSize=lots', 'maxPoolSize'],
    ['mongodb://a/?readPreference=foo', 'read preference'],
    ['mongodb://a/?authMechanism=SCRAM-SHA-1', 'Username required'],
    ['mongodb://a/?compressors=lz5', 'compression'],
    ['mongodb://a/?tls=true&tlsCAFile=/nowhere/ca.pem', 'tlsCAFile=/nowhere/ca.pem'],
    ['mongodb://a/?ssl=true&tls=false', 'must be the same'],
    ['mongodb+srv://a.b.c:27017/', 'port'],
    ['postgres://a/', 'must be a mongodb:// or mongodb+srv:// address'],
  ])('%s is refused, as the driver would', (uri, words) => {
    const problems = problemsOf(uri);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(words);
  });

  it.each([
    ['mongodb://u:p%40s@a,b/x?replicaSet=rs0&readPreference=secondary', 'mongodb://u:p%40s@a,b/x?replicaSet=rs0'],
    [
      'mongodb://a/?readpreference=secondary&readPreferenceTags=dc:x&readPreferenceTags=&maxStalenessSeconds=120&w=1',
      'mongodb://a/?w=1',
    ],
    [
      'mongodb+srv://u:p@cluster0.example.net/?retryWrites=true',
      'mongodb+srv://u:p@cluster0.example.net/?retryWrites=true',
    ],
  ])('%s never got ready: its read preference is left out, and nothing else', (uri, used) => {
    expect(loadConfig({ MONGODB_URI: uri }).config.MONGODB_URI).toBe(used);
  });

  it('is shown as hosts and replica set alone', () => {
    expect(shownAddress('mongodb://u:p%40ss@db1,db2:27018/x?replicaSet=rs0&tlsCertificateKeyFilePassword=abc')).toBe(
      'mongodb://db1:27017,db2:27018/?replicaSet=rs0',
    );
    expect(shownAddress('mongodb+srv://u:p@cluster0.example.net/?retryWrites=true')).toBe(
      'mongodb+srv://cluster0.example.net/',
    );
  });

  it('gives the log its password to hide, as written and as meant', () => {
    const { config } = loadConfig({ MONGODB_URI: 'mongodb://scraper:hun%40ter2@h/?authMechanismProperties=A:tok3n' });
    const redact = makeRedact(secretsIn(config));
    const shown = JSON.stringify(redact({ error: 'Authentication of hun@ter2, hun%40ter2, A:tok3n failed' }));
    for (const secret of ['hun@ter2', 'hun%40ter2', 'tok3n']) expect(shown).not.toContain(secret);
  });
});
