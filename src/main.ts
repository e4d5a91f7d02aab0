import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startRuncash } from './app/start.ts';
import {
  ConfigError,
  EXIT_CONFIG,
  environmentWith,
  type LoadedConfig,
  loadOwnConfig,
  ownSurroundings,
  secretsIn,
} from './config/load.ts';
import { packageVersion } from './config/version.ts';
import { createLog, switchLevelOnSignal } from './log/log.ts';
import { startBuiltin } from './mongo/builtin.ts';
import { chooseMongo, MongoChoiceError } from './mongo/choose.ts';
import { startMongod } from './mongo/mongod.ts';
import { startWorkers } from './workers/supervise.ts';

/** The configuration, or the end of the process with every problem in words. */
function configuration(): LoadedConfig {
  try {
    return loadOwnConfig();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${[error.message, ...error.problems].join('\n')}\n`);
    process.exit(EXIT_CONFIG);
  }
}

const { config, warnings } = configuration();
const version = packageVersion();
/** Given to the processes that share a port: which of them this is. */
const given = parseArgs({ options: { worker: { type: 'string' } } }).values.worker;
const worker = given === undefined ? null : Number(given);
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

/** Two signals this close are one request: systemd sends SIGTERM to every process of a unit. */
const SAME_SIGNAL_MS = 500;

async function run(): Promise<void> {
  log.info('starting', { version, node: process.version });
  for (const words of warnings) log.warn('config_note', { words });
  if (config.INGEST_KEYS.length === 0 && !config.INGEST_OPEN) {
    log.warn('config_note', { words: 'Without INGEST_KEYS only this machine can post numbers.' });
  }
  const program = fileURLToPath(new URL('./embedded/main.js', import.meta.url));
  const mongo = await chooseMongo(config, ownSurroundings(), {
    builtin: (port, dataDir) => startBuiltin({ program, port, dataDir, log }),
    mongod: startMongod,
  });
  for (const words of mongo.words) log.info('mongo_chosen', { words });

  const running = await startEither(mongo.uri).catch(async (error: unknown) => {
    await mongo.stop();
    throw error;
  });

  let stoppingSinceMs: number | null = null;
  const stop = (signal: NodeJS.Signals): void => {
    // Whoever asks twice does not want to wait; but a group's signal and the one passed on by its leader are one.
    if (stoppingSinceMs !== null) {
      if (performance.now() - stoppingSinceMs > SAME_SIGNAL_MS) process.exit(1);
      return;
    }
    stoppingSinceMs = performance.now();
    log.info('stopping', { signal, drainSeconds: config.DRAIN_SECONDS });
    const end = async (): Promise<void> => {
      await running.stop();
      await mongo.stop();
      log.info('stopped');
      await log.close();
      process.exit(0);
    };
    end().catch(fail);
  };
  process.on('SIGTERM', stop);
  if (worker === null) {
    process.on('SIGINT', stop);
    return;
  }
  // A terminal sends SIGINT to every process of the group; the one that started this worker passes on what is meant.
  process.on('SIGINT', () => undefined);
  process.once('disconnect', () => stop('SIGTERM'));
}

/** Starts this process's own part: the service, or the workers that each run it. */
async function startEither(mongoUri: string): Promise<{ stop(): Promise<void> }> {
  const host = config.HOST.includes(':') ? `[${config.HOST}]` : config.HOST;
  if (config.WORKERS > 1 && worker === null) {
    return startWorkers({
      count: config.WORKERS,
      script: fileURLToPath(import.meta.url),
      environment: environmentWith({ MONGODB_URI: mongoUri, MONGO: 'uri' }),
      log,
    });
  }
  const pageFolder = fileURLToPath(new URL('../page', import.meta.url));
  const live = await startRuncash({ config, mongoUri, version, log, pageFolder, worker });
  log.info('listening', { url: `http://${host}:${live.port}`, websocket: `ws://${host}:${live.port}/ws` });
  return { stop: () => live.stop(config.DRAIN_SECONDS) };
}

function fail(error: unknown): void {
  if (error instanceof MongoChoiceError) {
    log.error('failed', { error: error.message });
    void log.close().finally(() => process.exit(EXIT_CONFIG));
    return;
  }
  log.error('failed', {
    error: error instanceof Error ? error.message : String(error),
    stack: error instanceof Error ? error.stack : undefined,
  });
  void log.close().finally(() => process.exit(1));
}

process.on('uncaughtException', fail).on('unhandledRejection', fail);
run().catch(fail);
