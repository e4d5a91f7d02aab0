import {
  list,
  maybe,
  maybeMongo,
  maybeOneOf,
  namedKeys,
  namedSecrets,
  oneOf,
  orNothing,
  type Setting,
  secret,
  text,
  whole,
  yesNo,
} from './kinds.ts';

const ANY = /^.+$/s;
const DATABASE = /^[^\s/\\."$*<>:|?]{1,63}$/;
const ORIGIN = /^(\*|https?:\/\/(\*\.)?[a-z0-9.-]+(:\d{1,5})?)$/i;
const SERVER = /^https?:\/\/[a-z0-9.-]+(:\d{1,5})?$/i;
const CORE = /^wss?:\/\/[a-z0-9.:[\]-]+\/?$/i;
const HOST_NAME = /^[a-z0-9.:[\]_*-]+$/i;
const ADDRESS = /^[0-9a-f.:]+(\/\d{1,3})?$/i;
/** Where the built-in MongoDB keeps its data when nobody says otherwise. */
export const DEFAULT_DATA_DIR = './.data';
/** Words of the protocol and of the documents that are read: no other field may go by these names. */
const KNOWN_WORDS = [
  ...['type', 'topic', 'position', 'prev', 'id', 'roleta_id', 'roleta_nome', 'numero', 'rotulo', 'cor', 'timestamp'],
  ...['suspeito', 'estado', 'estado_estrategia', 'numero_gatilho', 'terminais_gatilho', 'terminais', 'vitorias'],
  ...['derrotas', 'sugestao_display', 'display_suggestion', 'estrategia', 'nome', 'duplo_zero', 'criado_em', 'colecao'],
  ...['_id', '__proto__', 'evento', 'evento_id', 'rodada_id'],
];
const EXTRA_FIELD = new RegExp(`^(?!(?:${KNOWN_WORDS.join('|')})$)[A-Za-z_][A-Za-z0-9_]{0,39}$`);
/** Simple enough to mean the same to MongoDB and here: nothing is looked at ahead or behind, no group repeats. */
const COLLECTION_PATTERN =
  /^\^(?:[A-Za-z0-9_.@:-]|\\[dw.]|\[[A-Za-z0-9_.@:-]+\]|\.|\{\d{1,3}(?:,\d{0,3})?\}|[+*?]|[()])+\$$/;
const WEB = /^https?:\/\/\S+$/;

/**
 * Every variable of the service, once: its name, how it is read, its default, unit and explanation. `.env.example`,
 * `runcash-live config` and the typed Config are made from this table. To add a variable, add a line.
 */
export const SETTINGS = {
  HOST: text('127.0.0.1', HOST_NAME, 'an address or host name', 'Address to listen on; 0.0.0.0 or :: for all.'),
  PORT: whole('5000', 'port', 0, 65535, 'Port for HTTP and WebSocket; 0 takes any free one.'),
  NODE_ENV: text('development', ANY, 'a word', 'production refuses to start without MONGODB_URI and INGEST_KEYS.'),
  WORKERS: whole(
    '1',
    'processes',
    1,
    64,
    'Processes that share the port; above 1 another one reads the change stream for all of them.',
  ),
  NETWORK: oneOf(
    'auto',
    ['auto', 'uws', 'node'],
    'uws: uWebSockets.js; node: node:http and ws, slower; auto: uWebSockets.js where it loads.',
  ),
  TLS_CERT_FILE: maybe(ANY, 'a file', 'Certificate chain in PEM; with TLS_KEY_FILE the port speaks TLS.'),
  TLS_KEY_FILE: maybe(ANY, 'a file', 'Private key in PEM for TLS_CERT_FILE.'),

  MONGO: maybeOneOf(['uri', 'mongod', 'builtin'], 'Forces a kind of MongoDB; absent: the first that is at hand.'),
  MONGODB_URI: maybeMongo('The replica set to use. A read preference in it is not used: FEED_READ_PREFERENCE is.'),
  MONGODB_DB_NAME: text('runcash', DATABASE, 'a database name', 'Database of numbers and strategies.'),
  ROLETAS_MONGODB_DB_NAME: maybe(DATABASE, 'a database name', 'Second database, with one collection per table.'),
  FEED_READ_PREFERENCE: oneOf(
    'primary',
    ['primary', 'primaryPreferred', 'secondary', 'secondaryPreferred', 'nearest'],
    'Which member of the replica set the change stream and the state of the tables are read from.',
  ),
  MONGOMS_SYSTEM_BINARY: maybe(ANY, 'a file', 'A mongod program to start when MONGODB_URI is absent.'),
  EMBEDDED_PORT: whole('27017', 'port', 0, 65535, 'Port of a MongoDB started here; any free one when it is taken.'),
  EMBEDDED_DATA_DIR: orNothing(
    DEFAULT_DATA_DIR,
    ANY,
    'a folder',
    'Keeps the data of the built-in MongoDB, and chooses that where no other is set; set to nothing: memory only.',
  ),
  EMBEDDED_MAX_MB: whole(
    '0',
    'MB',
    0,
    1_048_576,
    'Memory for data in the built-in MongoDB, beyond which inserts are refused; 0: what its process can hold.',
  ),

  UPSTREAM: list('', CORE, 'a ws:// or wss:// address', 'Instances to follow instead of a MongoDB: any, by failover.'),
  UPSTREAM_KEY: secret(maybe(/^\S{16,}$/, 'at least 16 characters without spaces', 'The ADMIN_KEY of those.')),

  RECOVERY_WINDOW_SECONDS: whole('600', 'seconds', 1, 86_400, 'How far back clients can be recovered from memory.'),
  RING_MAX_MB: whole('64', 'MB', 1, 4096, 'Memory for recent events; the window shrinks to fit.'),
  LIVE_MAX_AGE_MS: whole('120000', 'ms', 1000, 86_400_000, 'An older number is backfill and not published as live.'),
  MIN_SPIN_INTERVAL_MS: whole('15000', 'ms', 0, 600_000, 'An equal number that comes sooner is marked suspeito.'),
  TABLE_COLLECTIONS: maybe(
    COLLECTION_PATTERN,
    'a regular expression that begins with ^ and ends with $',
    'Names of collections of one table each, beside seven digits; the id is the first group or all: ^mesa_(.+)$.',
  ),
  EXTRA_FIELDS: list(
    '',
    EXTRA_FIELD,
    'a field name of 1 to 40 letters, digits and _ that means nothing here',
    'Fields of numbers and strategies that are passed through to events and snapshots, such as provider,multiplicador.',
  ),
  SYNC_INTERVAL_MS: whole(
    '300000',
    'ms',
    250,
    3_600_000,
    'Subscribers get a sync at the latest after this, and before half of what can be recovered has passed.',
  ),

  INGEST_KEYS: namedSecrets(
    16,
    'Who may post: name:secret, with its tables and items/s if limited: name:secret@2010*+2380117/50, other ids: @[A*+b].',
  ),
  INGEST_OPEN: yesNo('false', 'true lets anybody post when there are no INGEST_KEYS.'),
  INGEST_LAYOUT: oneOf('shared', ['shared', 'per-table'], 'Where posted numbers are stored.'),
  EMIT_EVENT: oneOf('store', ['store', 'confirm'], 'What POST /emit-event does: store, or wait until it is stored.'),
  INGEST_PER_SECOND: whole('2000', 'items/s', 0, 1_000_000, 'Of one key, or of one address without keys; 0: no limit.'),
  INGEST_BURST: whole('2000', 'items', 1, 1_000_000, 'What may come at once; a larger array never passes.'),
  MAX_PENDING_WRITES: whole(
    '10000',
    'writes',
    1,
    1_000_000,
    'Posted writes that may wait for MongoDB, a share for each key; beyond: 429.',
  ),
  READS_PER_SECOND_PER_ADDRESS: whole(
    '200',
    'requests/s',
    0,
    1_000_000,
    'Reads over plain HTTP of one address, each 16 KB one, five seconds of them at once; 0: no limit.',
  ),
  MAX_TABLES: whole('2000', 'tables', 1, 1_000_000, 'Posts for a table that is not known yet are refused beyond it.'),
  MAX_PENDING_READS: whole('64', 'reads', 1, 100_000, 'Reads over HTTP that may wait for MongoDB; beyond: 429.'),
  CONFIRM_WAIT_MS: whole('5000', 'ms', 100, 60_000, 'How long EMIT_EVENT=confirm looks for the number.'),

  AUTH: oneOf('none', ['none', 'jwt'], 'Who may subscribe and read; jwt asks for a token on every transport.'),
  JWT_SECRET: secret(maybe(ANY, 'text', 'Secret of HS256, HS384 and HS512 tokens, at least 32 bytes.')),
  JWT_PUBLIC_KEY_FILE: maybe(ANY, 'a file', 'Public key in PEM: RSA (RS and PS), EC (ES) or Ed25519 (EdDSA).'),
  JWT_KEYS: namedKeys(
    /^(HS256|HS384|HS512|[RP]S256|[RP]S384|[RP]S512|ES256|ES384|ES512|EdDSA|Ed25519)$/,
    'Further keys by kid, to rotate: kid:HS256:secret or kid:ES256:file.',
  ),
  JWKS_URL: maybe(WEB, 'an http(s) address', 'Where keys are fetched (JWKS); an unknown kid fetches them again.'),
  JWT_ISSUER: maybe(ANY, 'text', 'The iss that tokens must have.'),
  JWT_AUDIENCE: maybe(ANY, 'text', 'The aud that tokens must have.'),
  PUBLIC_READS: yesNo(
    'false',
    'true lets everybody read /api, its log too, under AUTH=jwt; /ws, /events, /poll and /api/stream still need a token.',
  ),
  ADMIN_KEY: secret(maybe(/^\S{16,}$/, 'at least 16 characters without spaces', 'Opens /metrics and /status in full.')),
  ALLOWED_ORIGINS: list('*', ORIGIN, 'an origin, https://*.domain or *', 'Pages that may connect.'),
  ALLOWED_HOSTS: list('', HOST_NAME, 'a host name', 'Host headers to answer for; empty: all.'),
  PAGE_SERVERS: list('', SERVER, 'an origin', 'Other servers that the page may show with ?server=; empty: none.'),
  TRUSTED_PROXIES: list('', ADDRESS, 'an address or network', 'Proxies whose X-Forwarded-For is believed.'),

  SOCKETIO: yesNo('false', 'true serves Socket.IO too, on the same port, and the page /legacy.html.'),
  SOCKETIO_BROADCAST: yesNo(
    'false',
    'true sends new_number and strategy_update to every Socket.IO client instead of to those who subscribed.',
  ),

  LIMITS: oneOf('enforce', ['enforce', 'count'], 'count lets everything through and only counts what it would refuse.'),
  MAX_CONNECTIONS: whole('20000', 'connections', 1, 10_000_000, 'Connections of all transports.'),
  MAX_CONNECTIONS_PER_ADDRESS: whole(
    '500',
    'connections',
    0,
    10_000_000,
    'Subscribers of one address (IPv6: one /64), and as many connections of plain HTTP; 0: no limit.',
  ),
  MAX_STREAMS: whole('5000', 'connections', 0, 10_000_000, 'Of all connections, those by Server-Sent Events.'),
  MAX_POLLS: whole('2000', 'requests', 0, 10_000_000, 'Open long-polls.'),
  MAX_POLLS_PER_ADDRESS: whole('50', 'requests', 0, 10_000_000, 'Open long-polls of one address.'),
  ACCEPTS_PER_SECOND: whole('2000', 'connections/s', 0, 1_000_000, 'New connections; 0: no limit.'),
  ACCEPTS_PER_SECOND_PER_ADDRESS: whole('100', 'connections/s', 0, 1_000_000, 'Of one address; 0: no limit.'),
  FRAMES_PER_SECOND: whole('20', 'frames/s', 1, 1_000_000, 'What one connection may send.'),
  FRAME_BURST: whole('40', 'frames', 1, 1_000_000, 'What it may send at once.'),
  MAX_TOPICS: whole('100', 'topics', 1, 200, 'Topics of one connection.'),
  MAX_FRAME_BYTES: whole('4096', 'bytes', 512, 1_048_576, 'Largest frame from a client.'),
  MAX_BODY_KB: whole('512', 'KB', 1, 16_384, 'Largest request body.'),
  MAX_BACKLOG_KB: whole('256', 'KB', 64, 1_048_576, 'Unsent bytes at which a slow consumer is closed.'),
  REPLAY_MB_PER_SECOND: whole('64', 'MB/s', 1, 1_048_576, 'Snapshots and replays of all connections together.'),
  PING_SECONDS: whole('25', 'seconds', 8, 900, 'Between two pings; a peer that stays away 16 s longer is closed.'),
  MAX_LIFETIME_MINUTES: whole('240', 'minutes', 1, 43_200, 'A connection is asked to reconnect after so long.'),
  DRAIN_ANNOUNCE_SECONDS: whole(
    '0',
    'seconds',
    0,
    300,
    'A stopping instance first answers /readyz with 503 for so long and serves on, until balancers send nobody here.',
  ),
  DRAIN_SECONDS: whole('10', 'seconds', 0, 300, 'Over how long a stopping instance sends its clients away.'),

  LOG_LEVEL: oneOf('info', ['debug', 'info', 'warn', 'error'], 'SIGUSR2 switches between this and debug.'),
  LOG_FILE: maybe(ANY, 'a file', 'Log to this file too, a new one daily and at LOG_FILE_MAX_MB.'),
  LOG_FILE_MAX_MB: whole('50', 'MB', 1, 10_240, 'Size at which a log file is closed.'),
  LOG_FILE_KEEP: whole('14', 'files', 1, 1000, 'Closed log files to keep.'),
  ALERT_WEBHOOK_URL: secret(maybe(WEB, 'an http(s) address', 'Where alerts are posted.')),
  ALERT_WEBHOOK_SECRET: secret(maybe(/^.{16,}$/, 'at least 16 characters', 'Signs alerts by HMAC-SHA256.')),
  POLL_INTERVAL: maybe(ANY, 'text', 'Accepted from older set-ups; without effect, since nothing polls.'),
} as const satisfies Readonly<Record<string, Setting<unknown>>>;

export type SettingName = keyof typeof SETTINGS;

/** The section that begins with each of these variables, for `.env.example` and `runcash-live config`. */
export const SECTIONS: Readonly<Partial<Record<SettingName, string>>> = {
  HOST: 'Where it listens',
  MONGO: 'MongoDB',
  RECOVERY_WINDOW_SECONDS: 'Delivery',
  INGEST_KEYS: 'Ingest',
  AUTH: 'Who may connect',
  SOCKETIO: 'Clients of the first system',
  LIMITS: 'Limits',
  LOG_LEVEL: 'Running it',
};
