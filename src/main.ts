import { fileURLToPath } from 'node:url';
import { ConfigError, EXIT_CONFIG, type LoadedConfig, loadOwnConfig, ownSurroundings } from './config.ts';
import { startEmbeddedMongo } from './embedded/server.ts';
import { createLog, switchLevelOnSignal } from './log.ts';
import { chooseMongo } from './mongo-choice.ts';
import { startMongod } from './mongod.ts';
import { startService } from './service.ts';
import { packageVersion } from './version.ts';

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
const log = await createLog({
  level: config.LOG_LEVEL,
  pretty: process.stdout.isTTY,
  file:
    config.LOG_FILE === null
      ? null
      : { path: config.LOG_FILE, maxMb: config.LOG_FILE_MAX_MB, keep: config.LOG_FILE_KEEP },
  secrets: [
    config.JWT_SECRET,
    config.ADMIN_KEY,
    config.ALERT_WEBHOOK_SECRET,
    ...config.INGEST_KEYS.map((key) => key.secret),
  ].filter((secret) => secret !== null),
});
switchLevelOnSignal(log);

async function run(): Promise<void> {
  log.info('starting', { version, node: process.version });
  for (const words of warnings) log.warn('config_note', { words });
  if (config.INGEST_KEYS.length === 0 && !config.INGEST_OPEN) {
    log.warn('config_note', { words: 'Without INGEST_KEYS only this machine can post numbers.' });
  }
  const mongo = await chooseMongo(config, ownSurroundings(), { builtin: startEmbeddedMongo, mongod: startMongod });
  for (const words of mongo.words) log.info('mongo_chosen', { words });

  const pageFolder = fileURLToPath(new URL('../page', import.meta.url));
  const service = await startService({ config, mongoUri: mongo.uri, version, log, pageFolder }).catch(
    async (error: unknown) => {
      await mongo.stop();
      throw error;
    },
  );
  const host = config.HOST.includes(':') ? `[${config.HOST}]` : config.HOST;
  log.info('listening', { url: `http://${host}:${service.port}`, websocket: `ws://${host}:${service.port}/ws` });

  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    // Whoever asks twice does not want to wait.
    if (stopping) process.exit(1);
    stopping = true;
    log.info('stopping', { signal, drainSeconds: config.DRAIN_SECONDS });
    const end = async (): Promise<void> => {
      await service.stop(config.DRAIN_SECONDS);
      await mongo.stop();
      log.info('stopped');
      await log.close();
      process.exit(0);
    };
    end().catch(fail);
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
}

function fail(error: unknown): void {
  log.error('failed', {
    error: error instanceof Error ? error.message : String(error),
    stack: error instanceof Error ? error.stack : undefined,
  });
  void log.close().finally(() => process.exit(1));
}

process.on('uncaughtException', fail).on('unhandledRejection', fail);
run().catch(fail);
