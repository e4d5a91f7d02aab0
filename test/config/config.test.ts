import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ConfigError, loadConfig, loadOwnConfig, secretsIn, settingNames } from '../../src/config/load.ts';
import { SETTINGS } from '../../src/config/settings.ts';
import { editDistance } from '../../src/config/unknown-variables.ts';
import { SERVER_MESSAGES } from '../../src/protocol/message-schemas.ts';

const KEY = 'scraper:0123456789abcdef';

const problemsOf = (environment: Record<string, string>): readonly string[] => {
  try {
    loadConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
};

describe('the configuration', () => {
  it('has a default for everything, so that an empty environment starts', () => {
    const { config, warnings } = loadConfig({});
    expect(config).toMatchObject({
      HOST: '127.0.0.1',
      PORT: 5000,
      MONGODB_URI: null,
      MONGO: null,
      MONGODB_DB_NAME: 'runcash',
      RECOVERY_WINDOW_SECONDS: 600,
      LIVE_MAX_AGE_MS: 120_000,
      MIN_SPIN_INTERVAL_MS: 15_000,
      INGEST_KEYS: [],
      EMIT_EVENT: 'store',
      AUTH: 'none',
    });
    expect(warnings).toEqual([]);
  });

  it('is frozen', () => {
    const { config } = loadConfig({ ALLOWED_ORIGINS: 'https://a.example', INGEST_KEYS: KEY });
    expect(Object.isFrozen(config)).toBe(true);
    expect(Object.isFrozen(config.ALLOWED_ORIGINS)).toBe(true);
    expect(Object.isFrozen(config.INGEST_KEYS)).toBe(true);
  });

  it('reads numbers, lists, words, yes and no, and name:secret pairs', () => {
    const { config } = loadConfig({
      PORT: ' 8080 ',
      ALLOWED_ORIGINS: 'https://a.example, https://*.b.example,',
      MONGO: 'Builtin',
      INGEST_OPEN: 'yes',
      INGEST_KEYS: `${KEY},other:with:colons:0123456789`,
    });
    expect(config.PORT).toBe(8080);
    expect(config.ALLOWED_ORIGINS).toEqual(['https://a.example', 'https://*.b.example']);
    expect(config.MONGO).toBe('builtin');
    expect(config.INGEST_OPEN).toBe(true);
    expect(config.INGEST_KEYS).toEqual([
      { name: 'scraper', secret: '0123456789abcdef' },
      { name: 'other', secret: 'with:colons:0123456789' },
    ]);
  });

  it('takes a variable that is set to nothing as absent', () => {
    expect(loadConfig({ PORT: '', MONGO: ' ' }, { PORT: '' }).config).toMatchObject({ PORT: 5000, MONGO: null });
  });

  it('lets the environment win over the file, and knows where each value came from', () => {
    const { config, sources } = loadConfig({ PORT: '1' }, { PORT: '2', LOG_LEVEL: 'debug' });
    expect([config.PORT, config.LOG_LEVEL]).toEqual([1, 'debug']);
    expect([sources.PORT, sources.LOG_LEVEL, sources.HOST]).toEqual(['environment', '.env', 'default']);
  });

  it('names every problem at once', () => {
    const problems = problemsOf({ PORT: '70000', MONGO: 'postgres', INGEST_OPEN: 'perhaps', DRAIN_SECONDS: '1e3' });
    expect(problems).toEqual([
      'PORT must be a whole number from 0 to 65535, not "70000"',
      'MONGO must be one of uri, mongod, builtin, not "postgres"',
      'INGEST_OPEN must be true or false, not "perhaps"',
      'DRAIN_SECONDS must be a whole number from 0 to 300, not "1e3"',
    ]);
  });

  it('names every conflict between variables at once', () => {
    const problems = problemsOf({
      NODE_ENV: 'production',
      MONGO: 'uri',
      AUTH: 'jwt',
      TLS_CERT_FILE: '/nowhere/cert.pem',
      INGEST_PER_SECOND: '500',
      INGEST_BURST: '499',
      FRAME_BURST: '2',
    });
    expect(problems.join('\n')).toMatch(
      /INGEST_KEYS.*\nMONGODB_URI.*\nAUTH=jwt.*\nTLS_CERT_FILE and.*\nINGEST_BURST.*\nFRAME_BURST/,
    );
    expect(problems.at(-1)).toBe('TLS_CERT_FILE names a file that is not there: /nowhere/cert.pem');
  });

  it('refuses a field of an event as one of a writer’s own', () => {
    const { new_number, number_corrected, strategy_update } = SERVER_MESSAGES;
    for (const { shape } of [new_number, number_corrected, strategy_update]) {
      for (const field of Object.keys(shape)) expect(problemsOf({ EXTRA_FIELDS: field })).toHaveLength(1);
    }
    expect(problemsOf({ EXTRA_FIELDS: 'provider' })).toEqual([]);
  });

  it('refuses production without ingest keys unless ingest is open on purpose', () => {
    const production = { NODE_ENV: 'production', MONGODB_URI: 'mongodb://db/' };
    expect(problemsOf(production)).toEqual([expect.stringMatching(/^INGEST_KEYS must be set/)]);
    expect(problemsOf({ ...production, INGEST_KEYS: KEY })).toEqual([]);
    expect(loadConfig({ ...production, INGEST_OPEN: 'true' }).warnings).toEqual([
      'INGEST_OPEN=true without INGEST_KEYS: anybody who reaches this port can post numbers',
    ]);
  });

  it('refuses production on an empty database that nobody asked for', () => {
    const production = { NODE_ENV: 'production', INGEST_KEYS: KEY };
    for (const other of [{}, { MONGO: 'mongod' }, { EMBEDDED_DATA_DIR: '/var/lib/x' }]) {
      expect(problemsOf({ ...production, ...other })).toEqual([expect.stringMatching(/^MONGODB_URI must be set/)]);
    }
    expect(problemsOf({ ...production, MONGO: 'builtin' })).toEqual([]);
  });

  it('refuses a ping interval with which uWebSockets.js would abort the process', () => {
    expect(problemsOf({ PING_SECONDS: '7' })).toHaveLength(1);
  });

  it('never shows a secret in a problem', () => {
    const secrets = {
      MONGODB_URI: 'http://user:hunter2@host',
      ADMIN_KEY: 'hunter2',
      INGEST_KEYS: 'hunter2,name:hunter2',
      ALERT_WEBHOOK_SECRET: 'hunter2',
      JWT_SECRET: 'hunter2',
      AUTH: 'jwt',
    };
    expect(problemsOf(secrets).length).toBeGreaterThanOrEqual(5);
    expect(problemsOf(secrets).join('\n')).not.toContain('hunter2');
    expect(problemsOf({ AUTH: 'jwt', JWT_SECRET: 'hunter2' }).join('\n')).toMatch(/^JWT_SECRET must have at least 32/);
  });

  it('gives the log the secret of every setting that has one, to hide it', () => {
    const given = {
      MONGODB_URI: 'mongodb://scraper:hidden-of-mongo@h/',
      UPSTREAM_KEY: 'hidden-of-the-cores',
      INGEST_KEYS: 'scraper:hidden-of-a-scraper',
      JWT_SECRET: 'hidden-of-tokens',
      JWT_KEYS: 'k1:HS256:hidden-of-a-kid',
      ADMIN_KEY: 'hidden-of-operators',
      ALERT_WEBHOOK_URL: 'https://chat.example/hidden-of-a-chat',
      ALERT_WEBHOOK_SECRET: 'hidden-of-the-webhook',
    };
    expect(Object.keys(given)).toEqual(settingNames.filter((name) => SETTINGS[name].secret));
    const secrets = secretsIn(loadConfig(given).config).filter((text) => text.includes('hidden'));
    const shown = Object.entries(given).filter(([, text]) => !secrets.some((secret) => text.includes(secret)));
    expect(shown).toEqual([]);
  });

  it('reads the tables and the rate of an ingest key, and leaves secrets alone that only look a little like them', () => {
    const keys = (text: string) => loadConfig({ INGEST_KEYS: text }).config.INGEST_KEYS;
    const secret = '0123456789abcdef';
    expect(keys(`a:${secret}@2010*+2380117/50,b:${secret}@2010165,c:${secret}@*/5,d:${secret}@*`)).toEqual([
      { name: 'a', secret, tables: ['2010*', '2380117'], perSecond: 50 },
      { name: 'b', secret, tables: ['2010165'] },
      { name: 'c', secret, perSecond: 5 },
      { name: 'd', secret },
    ]);
    expect(
      keys(`a:${secret}@[Lightning*+Speed_2@evolution+Ação+221]/50,b:${secret}@[*],c:${secret}@[ Aa* + 221 ]`),
    ).toEqual([
      { name: 'a', secret, tables: ['Lightning*', 'Speed_2@evolution', 'Ação', '221'], perSecond: 50 },
      { name: 'b', secret },
      { name: 'c', secret, tables: ['Aa*', '221'] },
    ]);
    for (const odd of [
      '0123456789abcdef@[]',
      '0123456789abcdef@[[a]]',
      '0123456789abcdef@[a]x',
      'p@ss-0123456789abc',
      'mail@host.example/1',
      '@2010165@x-0123456789',
      '0123456789abcdef@20101655',
    ]) {
      expect(keys(`a:${odd}`)).toEqual([{ name: 'a', secret: odd }]);
    }
    expect(problemsOf({ INGEST_KEYS: 'a:short@2010*' })).toEqual([
      'INGEST_KEYS entry 1 (a) needs at least 16 characters',
    ]);
  });

  it('refuses tables of an ingest key that none can match, and shows nothing of its secret', () => {
    const problem = (rights: string) => problemsOf({ INGEST_KEYS: `a:0123456789abcdef${rights}` });
    for (const tables of ['Light*ning', '**', '*+221', '221+', '2_2010165', '2010165_2', 'a b']) {
      expect(problem(`@[${tables}]`), tables).toEqual([
        'INGEST_KEYS entry 1 (a) needs ids of tables between @[ and ], with * at their ends alone',
      ]);
    }
  });

  it('refuses an ingest key whose tables would be part of its secret, and the key good for all', () => {
    const problem = (rights: string) => problemsOf({ INGEST_KEYS: `a:0123456789abcdef${rights}` });
    for (const rights of ['@Lightning*', '@2010165+Lightning', '@[[a*]]', '@2010*/fast', '@20101655*']) {
      expect(problem(rights), rights).toEqual([
        expect.stringMatching(/^INGEST_KEYS entry 1 \(a\) has \* or \+ after an @: (?!.*0123456789)/),
      ]);
    }
    expect(['@2010*', '@*', '*+', '@x+y@*'].flatMap(problem)).toEqual([]);
  });

  it('takes two secrets of one ingest key, to rotate it, but not with other rights', () => {
    const two = (rights: string) => ({ INGEST_KEYS: `a:0123456789abcdef,a:fedcba9876543210${rights}` });
    expect(problemsOf(two(''))).toEqual([]);
    expect(problemsOf(two('@2010*')).join()).toMatch(/entry 1 \(a\) has other rights than its namesake/);
  });

  it('reads further keys for tokens, and shows none of their secrets in a problem', () => {
    const { config } = loadConfig({ JWT_KEYS: 'old:HS256:a:b:c,new:ES256:/run/new.pem' });
    expect(config.JWT_KEYS).toEqual([
      { id: 'old', algorithm: 'HS256', value: 'a:b:c' },
      { id: 'new', algorithm: 'ES256', value: '/run/new.pem' },
    ]);
    for (const wrong of ['hunter2', 'a:none:hunter2', 'a:HS256:', ':HS256:hunter2', 'a:hs256:hunter2']) {
      const problems = problemsOf({ JWT_KEYS: wrong });
      expect(problems).toHaveLength(1);
      expect(problems.join()).not.toContain('hunter2');
    }
    expect(problemsOf({ JWT_KEYS: 'a:HS256:x,a:HS512:y' })).toEqual(['JWT_KEYS entry 2 repeats the kid a']);
    expect(problemsOf({ AUTH: 'jwt' }).join()).toMatch(/JWT_SECRET, JWT_PUBLIC_KEY_FILE, JWT_KEYS or JWKS_URL/);
    expect(problemsOf({ AUTH: 'jwt', JWKS_URL: 'https://id.example/jwks.json' })).toEqual([]);
  });

  it('refuses the same ingest key twice', () => {
    expect(problemsOf({ INGEST_KEYS: `${KEY},${KEY}` })).toEqual(['INGEST_KEYS entry 2 repeats the name scraper']);
  });

  it('reports POLL_INTERVAL as without effect', () => {
    expect(loadConfig({ POLL_INTERVAL: '2000' }).warnings).toEqual([
      'POLL_INTERVAL is without effect: nothing polls, changes are streamed',
    ]);
  });

  it('says what Socket.IO cannot do over several processes, and what has no effect without it', () => {
    expect(loadConfig({ SOCKETIO: 'true', WORKERS: '2' }).warnings).toEqual([
      "SOCKETIO=true with WORKERS above 1: clients must use transports: ['websocket'], polling needs one process",
    ]);
    expect(loadConfig({ SOCKETIO_BROADCAST: 'true' }).warnings).toEqual([
      'SOCKETIO_BROADCAST is not used without SOCKETIO=true',
    ]);
    expect(loadConfig({ SOCKETIO: 'true', SOCKETIO_BROADCAST: 'true' }).warnings).toEqual([]);
  });

  it('names unknown variables with our prefixes and the one that was meant', () => {
    const { warnings } = loadConfig({
      MONOGDB_URI: 'x',
      MONGODB_URL: 'x',
      INGEST_KEY: 'x',
      ALOWED_ORIGINS: 'x',
      INGEST_COLOUR: 'x',
    });
    expect(warnings).toEqual([
      'MONOGDB_URI is not a variable of this service; did you mean MONGODB_URI?',
      'MONGODB_URL is not a variable of this service; did you mean MONGODB_URI?',
      'INGEST_KEY is not a variable of this service; did you mean INGEST_KEYS?',
      'ALOWED_ORIGINS is not a variable of this service; did you mean ALLOWED_ORIGINS?',
      'INGEST_COLOUR is not a variable of this service',
    ]);
  });

  it("leaves other programs' variables alone", () => {
    const foreign = {
      PATH: '/bin',
      HOSTNAME: 'x',
      MONGO_PORT: 'tcp://10.0.0.7:27017',
      MONGOMS_VERSION: '7',
      TERM: 'x',
    };
    expect(loadConfig(foreign, { VITE_WS_URL: 'x' }).warnings).toEqual([]);
  });

  it('names every unknown variable of a .env file', () => {
    expect(loadConfig({}, { PROT: '1' }).warnings).toEqual([
      'PROT is not a variable of this service; did you mean PORT?',
    ]);
  });

  it('counts a swap of neighbours as one mistake', () => {
    expect(editDistance('PROT', 'PORT')).toBe(1);
    expect(editDistance('', 'abc')).toBe(3);
  });
});

describe('the .env file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'runcash-config-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('is optional, and read from the working directory', () => {
    expect(loadOwnConfig(folder).sources.RING_MAX_MB).toBe('default');
    writeFileSync(join(folder, '.env'), '# a remark\nRING_MAX_MB="128"\n');
    expect(loadOwnConfig(folder).config.RING_MAX_MB).toBe(128);
  });
});
