import { existsSync, readFileSync } from 'node:fs';
import { parse } from 'dotenv';
import type { z } from 'zod';
import { secretsOf } from './mongo-address.ts';
import { DEFAULT_DATA_DIR, SETTINGS, type SettingName } from './settings.ts';
import { unknownVariablesIn } from './unknown-variables.ts';

/** The whole configuration, checked and frozen. Names are those of the environment and carry their unit. */
export type Config = { readonly [Name in SettingName]: z.output<(typeof SETTINGS)[Name]['read']> };

export type SettingSource = 'environment' | '.env' | 'default';

export interface LoadedConfig {
  readonly config: Config;
  /** Where each value came from. */
  readonly sources: Readonly<Record<SettingName, SettingSource>>;
  /** What starts nevertheless, but the operator should read. */
  readonly warnings: readonly string[];
}

/** The configuration is wrong; `problems` has one sentence for each thing to change. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`The configuration has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}.`);
    this.problems = problems;
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

/** EX_CONFIG of sysexits.h: supervisors can tell a wrong configuration from a crash. */
export const EXIT_CONFIG = 78;

const isSetting = (name: string): name is SettingName => Object.hasOwn(SETTINGS, name);

export const settingNames: readonly SettingName[] = Object.freeze(Object.keys(SETTINGS).filter(isSetting));

/**
 * Reads the configuration from `environment`, over `file` (the variables of a `.env`); a variable set to nothing counts
 * as absent, unless its setting says otherwise. Throws ConfigError with every problem at once.
 */
export function loadConfig(environment: Environment, file: Environment = {}): LoadedConfig {
  const problems: string[] = [];
  const values: Partial<Record<SettingName, unknown>> = {};
  const sources: Partial<Record<SettingName, SettingSource>> = {};
  for (const name of settingNames) {
    const [given, source] = lookUp(name, environment, file);
    const setting = SETTINGS[name];
    const read = setting.read.safeParse(given ?? setting.fallback);
    if (read.success) values[name] = read.data;
    else for (const issue of read.error.issues) problems.push(`${name} ${shown(issue.message, given, setting.secret)}`);
    sources[name] = source;
  }
  if (!complete(values) || !allSourced(sources)) throw new ConfigError(problems);
  const config = Object.freeze(values);
  problems.push(...conflictsOf(config));
  if (problems.length > 0) throw new ConfigError(problems);
  const warnings = [...unknownVariablesIn(environment, file, settingNames), ...remarksOn(config)];
  return { config, sources: Object.freeze(sources), warnings };
}

/** `loadConfig` of the process's own environment and the `.env` file in `directory`, if there is one. */
export function loadOwnConfig(directory: string = process.cwd()): LoadedConfig {
  const path = `${directory}/.env`;
  return loadConfig(process.env, existsSync(path) ? parse(readFileSync(path)) : {});
}

/** This process's environment with other values, for one that it starts. */
export const environmentWith = (values: Environment): Environment => ({ ...process.env, ...values });

/**
 * Calls `then` once when the shell that npm started this process in is gone. npm passes a signal on to that shell alone,
 * and most shells do not pass it on to what they run. Returns what ends the watch; does nothing for other parents.
 */
export function whenNpmEnds(then: () => void): () => void {
  if (process.env['npm_lifecycle_event'] === undefined) return () => undefined;
  const shell = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === shell) return;
    clearInterval(timer);
    then();
  }, SHELL_WATCH_MS);
  timer.unref();
  return () => clearInterval(timer);
}

const SHELL_WATCH_MS = 200;

/** What a program needs of the environment to look for other programs and their caches. */
export interface Surroundings {
  readonly searchPath: readonly string[];
  readonly home: string | null;
  readonly downloadDir: string | null;
}

/** PATH and the like, which are not settings of this service. */
export function ownSurroundings(): Surroundings {
  const separator = process.platform === 'win32' ? ';' : ':';
  return {
    searchPath: (process.env['PATH'] ?? '').split(separator).filter((entry) => entry !== ''),
    home: process.env['HOME'] ?? process.env['USERPROFILE'] ?? null,
    downloadDir: process.env['MONGOMS_DOWNLOAD_DIR'] ?? null,
  };
}

/** Keeps mongodb-memory-server, which reads its own variables, from ever fetching a server by itself. */
export function forbidMongodDownload(): void {
  process.env['MONGOMS_RUNTIME_DOWNLOAD'] = 'false';
  process.env['MONGOMS_SYSTEM_BINARY_VERSION_CHECK'] = 'false';
}

function lookUp(name: SettingName, environment: Environment, file: Environment): [string | undefined, SettingSource] {
  const isGiven = (text: string | undefined) => text !== undefined && (text !== '' || SETTINGS[name].canBeNothing);
  const own = environment[name]?.trim();
  if (isGiven(own)) return [own, 'environment'];
  const filed = file[name]?.trim();
  return isGiven(filed) ? [filed, '.env'] : [undefined, 'default'];
}

const shown = (message: string, given: string | undefined, isSecret: boolean): string =>
  isSecret && given !== undefined ? message.replaceAll(given, '(hidden)') : message;

const complete = (values: Partial<Record<SettingName, unknown>>): values is Config =>
  settingNames.every((name) => Object.hasOwn(values, name));

const allSourced = (
  sources: Partial<Record<SettingName, SettingSource>>,
): sources is Record<SettingName, SettingSource> => settingNames.every((name) => Object.hasOwn(sources, name));

/** Every text of the configuration that no line of a log may show: of every setting that is marked as secret. */
export function secretsIn(config: Config): readonly string[] {
  const { MONGODB_URI: mongo, ALERT_WEBHOOK_URL: webhook } = config;
  /** Settings whose value is not secret as a whole. */
  const parts: { readonly [Name in SettingName]?: readonly string[] } = {
    INGEST_KEYS: config.INGEST_KEYS.map((key) => key.secret),
    JWT_KEYS: config.JWT_KEYS.map((key) => key.value),
    MONGODB_URI: mongo === null ? [] : secretsOf(mongo),
    // Chats put the right to post into the path.
    ALERT_WEBHOOK_URL: webhook === null ? [] : pathOf(webhook),
  };
  const wholeOf = (value: Config[SettingName]): readonly string[] => (typeof value === 'string' ? [value] : []);
  return settingNames.filter((name) => SETTINGS[name].secret).flatMap((name) => parts[name] ?? wholeOf(config[name]));
}

function pathOf(url: string): readonly string[] {
  const { pathname, search } = new URL(url);
  return [`${pathname}${search}`, pathname].filter((text) => text.length >= 4);
}

/** Rules over more than one variable. */
function conflictsOf(config: Config): string[] {
  const found: string[] = [];
  const check = (wrong: boolean, sentence: string): void => {
    if (wrong) found.push(sentence);
  };
  check(
    config.NODE_ENV === 'production' &&
      config.INGEST_KEYS.length === 0 &&
      !config.INGEST_OPEN &&
      config.UPSTREAM.length === 0,
    'INGEST_KEYS must be set when NODE_ENV=production, or anybody could post numbers; INGEST_OPEN=true if that is meant',
  );
  check(
    config.NODE_ENV === 'production' &&
      (config.MONGO ?? 'mongod') === 'mongod' &&
      config.MONGODB_URI === null &&
      config.UPSTREAM.length === 0,
    'MONGODB_URI must be set when NODE_ENV=production, or the service would start on an empty database; MONGO=builtin if that is meant',
  );
  check(config.MONGO === 'uri' && config.MONGODB_URI === null, 'MONGODB_URI must be set when MONGO=uri');
  check(config.UPSTREAM.length > 0 && config.UPSTREAM_KEY === null, 'UPSTREAM needs UPSTREAM_KEY, the ADMIN_KEY there');
  const hasKey = [config.JWT_SECRET, config.JWT_PUBLIC_KEY_FILE, config.JWKS_URL].some((value) => value !== null);
  check(
    config.AUTH === 'jwt' && !hasKey && config.JWT_KEYS.length === 0,
    'AUTH=jwt needs a key: JWT_SECRET, JWT_PUBLIC_KEY_FILE, JWT_KEYS or JWKS_URL',
  );
  check(
    config.AUTH === 'jwt' && config.JWT_SECRET !== null && Buffer.byteLength(config.JWT_SECRET) < 32,
    'JWT_SECRET must have at least 32 bytes (RFC 7518, 3.2)',
  );
  check(
    (config.TLS_CERT_FILE === null) !== (config.TLS_KEY_FILE === null),
    'TLS_CERT_FILE and TLS_KEY_FILE must be set together',
  );
  check(config.WORKERS > 1 && config.PORT === 0, 'PORT must be given when WORKERS is above 1: they share it');
  check(
    config.INGEST_PER_SECOND > 0 && config.INGEST_BURST < config.INGEST_PER_SECOND,
    'INGEST_BURST must not be below INGEST_PER_SECOND',
  );
  check(config.FRAME_BURST < config.FRAMES_PER_SECOND, 'FRAME_BURST must not be below FRAMES_PER_SECOND');
  for (const name of ['TLS_CERT_FILE', 'TLS_KEY_FILE', 'JWT_PUBLIC_KEY_FILE'] as const) {
    const path = config[name];
    check(path !== null && !existsSync(path), `${name} names a file that is not there: ${path}`);
  }
  return found;
}

/** Whether somebody chose a folder for the built-in MongoDB, and with it that. */
export const namesDataFolder = ({ EMBEDDED_DATA_DIR: folder }: Pick<Config, 'EMBEDDED_DATA_DIR'>): boolean =>
  folder !== null && folder !== DEFAULT_DATA_DIR;

function remarksOn(config: Config): string[] {
  const found: string[] = [];
  if (config.POLL_INTERVAL !== null) found.push('POLL_INTERVAL is without effect: nothing polls, changes are streamed');
  if (config.MONGODB_URI !== null && config.MONGO !== null && config.MONGO !== 'uri') {
    found.push(`MONGODB_URI is not used, since MONGO=${config.MONGO}`);
  }
  if (config.MONGODB_URI !== null && config.UPSTREAM.length > 0) {
    found.push('MONGODB_URI is not used, since UPSTREAM is set');
  }
  if (namesDataFolder(config) && config.MONGO !== 'builtin') {
    // MONGO=uri is deliberate, and what workers are told while their parent holds the folder.
    const other =
      config.MONGO === 'mongod' ? 'MONGO=mongod' : config.MONGODB_URI === null ? null : 'MONGODB_URI is set';
    if (other !== null && config.MONGO !== 'uri') found.push(`EMBEDDED_DATA_DIR is not used, since ${other}`);
  }
  if (config.INGEST_OPEN && config.INGEST_KEYS.length === 0) {
    found.push('INGEST_OPEN=true without INGEST_KEYS: anybody who reaches this port can post numbers');
  }
  if (config.ALERT_WEBHOOK_SECRET !== null && config.ALERT_WEBHOOK_URL === null) {
    found.push('ALERT_WEBHOOK_SECRET is not used without ALERT_WEBHOOK_URL');
  }
  if (config.SOCKETIO && config.WORKERS > 1) {
    // A session of polls lives in one process, and each poll may reach another one.
    found.push(
      "SOCKETIO=true with WORKERS above 1: clients must use transports: ['websocket'], polling needs one process",
    );
  }
  if (config.SOCKETIO_BROADCAST && !config.SOCKETIO) found.push('SOCKETIO_BROADCAST is not used without SOCKETIO=true');
  if (config.AUTH === 'none' && config.JWT_SECRET !== null) found.push('JWT_SECRET is not used, since AUTH=none');
  return found;
}
