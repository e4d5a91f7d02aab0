import './config/version.ts';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startReader } from './app/data.ts';
import { loadCheckedConfig } from './app/options.ts';
import { localUrl, panel } from './app/panel.ts';
import { isConfigProblem, startRuncash } from './app/start.ts';
import {
  ConfigError,
  EXIT_CONFIG,
  environmentWith,
  type LoadedConfig,
  ownSurroundings,
  secretsIn,
  whenNpmEnds,
} from './config/load.ts';
import { packageVersion } from './config/version.ts';
import { createLog, switchLevelOnSignal } from './log/log.ts';
import { startBuiltin } from './mongo/builtin.ts';
import { type ChosenMongo, chooseMongo, startMongod } from './mongo/choose.ts';
import { startWorkers } from './workers/supervise.ts';

const built = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

const { config, warnings } = configuration();
const version = packageVersion();
/** Given to the processes that `startWorkers` starts: which of them this is, and where the reader listens. */
const given = parseArgs({
  options: { worker: { type: 'string' }, reader: { type: 'boolean' }, stream: { type: 'string' } },
}).values;
const isAlone = given.stream === undefined;
const log = await createLog({
  level: config.LOG_LEVEL,
  pretty: process.stdout.isTTY,
  file:
    config.LOG_FILE === null
      ? null
      : { path: config.LOG_FILE, maxMb: config.LOG_FILE_MAX_MB, keep: config.LOG_FILE_KEEP },
  secrets: secretsIn(config),
});
switchLevelOnSignal(log);
process.on('uncaughtException', fail).on('unhandledRejection', fail);
const NEVER = new Promise<never>(() => undefined);
const urlOn = (port: number): string => localUrl({ host: config.HOST, port, tls: config.TLS_CERT_FILE !== null });
run().catch(fail);

async function run(): Promise<void> {
  const asked = firstRequestToEnd();
  log.info('starting', { version, node: process.version });
  for (const words of warnings) log.warn('config_note', { words });
  if (config.INGEST_KEYS.length === 0 && !config.INGEST_OPEN && config.UPSTREAM.length === 0) {
    log.warn('config_note', { words: 'Without INGEST_KEYS only this machine can post numbers.' });
  }
  const mongo = config.UPSTREAM.length > 0 ? null : await ownMongo();
  for (const words of mongo?.words ?? []) log.info('mongo_chosen', { words });
  try {
    const live = await startPart(mongo);
    if (process.stdout.isTTY && isAlone) {
      live.ready.then(() => process.stdout.write(panel({ version, ...live, mongo, upstream: config.UPSTREAM })), fail);
    }
    const signal = await Promise.race([asked, live.failed]);
    log.info('stopping', { signal, drainSeconds: config.DRAIN_ANNOUNCE_SECONDS + config.DRAIN_SECONDS });
    await live.stop();
  } finally {
    await mongo?.stop();
  }
  log.info('stopped');
  await log.close();
  process.exit(0);
}

async function ownMongo(): Promise<ChosenMongo> {
  return await chooseMongo(config, ownSurroundings(), {
    builtin: (port, dataDir) =>
      startBuiltin({ program: built('./embedded/main.js'), port, dataDir, maxMb: config.EMBEDDED_MAX_MB, log }),
    mongod: startMongod,
  });
}

/** The service or a part of it, and how to end that. */
interface Live {
  readonly url: string;
  /** The library that its network runs on; workers have their own. */
  readonly network?: string;
  /** Resolves when subscribers are served for the first time. */
  readonly ready: Promise<unknown>;
  /** Rejects when it cannot go on, and has ended. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
}

async function startPart(mongo: ChosenMongo | null): Promise<Live> {
  const mongoUri = mongo?.uri ?? null;
  const url = urlOn(config.PORT);
  if (given.reader === true && given.stream !== undefined) {
    const reader = await startReader({ config, mongoUri, log, path: given.stream });
    return { url, failed: NEVER, ...reader };
  }
  if (config.WORKERS === 1 || !isAlone) return await startHere(mongoUri);
  const workers = startWorkers({
    count: config.WORKERS,
    script: built('./main.js'),
    hopelessCode: EXIT_CONFIG,
    environment: environmentWith(mongoUri === null ? {} : { MONGODB_URI: mongoUri, MONGO: 'uri' }),
    log,
  });
  return { url, ...workers };
}

async function startHere(mongoUri: string | null): Promise<Live> {
  const worker = given.stream === undefined ? null : { index: Number(given.worker), stream: given.stream };
  const live = await startRuncash({ config, mongoUri, version, log, pageFolder: built('../page'), worker });
  const url = urlOn(live.port);
  const { network } = live;
  log.info('listening', { url, websocket: `${url.replace(/^http/, 'ws')}/ws`, network });
  return {
    url,
    network,
    ready: live.ready,
    failed: NEVER,
    stop: () => live.stop(config.DRAIN_SECONDS, config.DRAIN_ANNOUNCE_SECONDS),
  };
}

/** Two signals this close are one request: systemd sends SIGTERM to every process of a unit. */
const SAME_SIGNAL_MS = 500;

/** Resolves with the first signal that asks this process to end; a later one ends it at once. */
function firstRequestToEnd(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let firstMs: number | null = null;
    const ask = (signal: NodeJS.Signals): void => {
      if (firstMs === null) {
        firstMs = performance.now();
        resolve(signal);
        return;
      }
      // Whoever asks twice does not want to wait; but a group's signal and the one passed on by its leader are one.
      if (performance.now() - firstMs > SAME_SIGNAL_MS) process.exit(1);
    };
    // The reader ends when its parent cuts the line between them: workers that drain still need it.
    process.on('SIGTERM', given.reader === true ? () => undefined : ask);
    // A terminal sends SIGINT to every process of the group; the one that started a worker passes on what is meant.
    process.on('SIGINT', isAlone ? ask : () => undefined);
    // Started with a channel or by npm, this process ends with its parent, however that ended.
    const askOnce = (): void => {
      if (firstMs === null) ask('SIGTERM');
    };
    process.once('disconnect', askOnce);
    whenNpmEnds(askOnce);
  });
}

/** The configuration, or the end of the process with every problem in words. */
function configuration(): LoadedConfig {
  try {
    return loadCheckedConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${[error.message, ...error.problems].join('\n')}\n`);
    process.exit(EXIT_CONFIG);
  }
}

/** Logs why this process cannot go on, and ends it: with 78 where only another configuration helps, else with 1. */
function fail(error: unknown): void {
  const isConfig = isConfigProblem(error);
  if (error instanceof ConfigError) for (const words of error.problems) log.error('failed', { error: words });
  log.error('failed', {
    error: error instanceof Error ? error.message : String(error),
    stack: error instanceof Error && !isConfig ? error.stack : undefined,
  });
  void log.close().finally(() => process.exit(isConfig ? EXIT_CONFIG : 1));
}
