import { ConfigError, EXIT_CONFIG, loadOwnConfig } from '../config/load.ts';
import { SIMULATOR_USAGE, simulatorOptions, UsageError } from './options.ts';
import { RecordingError } from './replay.ts';
import { simulate, succeeded } from './run.ts';

/** Where the built-in MongoDB of `npm start` and `npm run mongo` listens. */
const LOCAL_MONGO = 'mongodb://127.0.0.1:27017/?replicaSet=rs0';

/** The `simulate` command. Returns the exit code: 1 when a promise was broken, 2 for a command line that cannot be followed. */
export async function runSimulator(args: readonly string[]): Promise<number> {
  try {
    const { config } = loadOwnConfig();
    const host = config.HOST === '0.0.0.0' || config.HOST === '::' ? '127.0.0.1' : config.HOST;
    const [ingestKey] = config.INGEST_KEYS;
    const options = simulatorOptions(args, {
      url: `http://${host.includes(':') ? `[${host}]` : host}:${config.PORT}`,
      key: ingestKey === undefined ? null : `${ingestKey.name}:${ingestKey.secret}`,
      mongodb: config.MONGODB_URI ?? LOCAL_MONGO,
    });
    if (options === null) {
      process.stdout.write(`${SIMULATOR_USAGE}\n`);
      return 0;
    }
    const stopping = new AbortController();
    const stop = (): void => stopping.abort();
    // A program that started this one with a channel takes it along, however it ends.
    process.once('SIGINT', stop).once('SIGTERM', stop).once('disconnect', stop);
    const result = await simulate(options, {
      print: screen(process.stdout),
      databases: {
        shared: config.MONGODB_DB_NAME,
        tables: config.ROLETAS_MONGODB_DB_NAME ?? config.MONGODB_DB_NAME,
      },
      signal: stopping.signal,
    });
    process.off('SIGINT', stop).off('SIGTERM', stop).off('disconnect', stop);
    return succeeded(result) ? 0 : 1;
  } catch (error) {
    if (error instanceof UsageError)
      return fail([...error.problems, 'runcash-live simulate --help lists the options.'], 2);
    if (error instanceof RecordingError) return fail([error.message], 2);
    if (error instanceof ConfigError) return fail([error.message, ...error.problems], EXIT_CONFIG);
    throw error;
  }
}

function fail(lines: readonly string[], code: number): number {
  process.stderr.write(`${lines.join('\n')}\n`);
  return code;
}

/** On a terminal the live line is written over itself; elsewhere every line is a new one. */
function screen(output: NodeJS.WriteStream): (line: string, live: boolean) => void {
  let covering = false;
  return (line, live) => {
    if (!output.isTTY) {
      output.write(`${line}\n`);
      return;
    }
    const start = covering ? '\r\u001b[2K' : '';
    output.write(live ? `${start}${line.slice(0, output.columns - 1)}` : `${start}${line}\n`);
    covering = live;
  };
}

if (import.meta.filename === process.argv[1]) process.exitCode = await runSimulator(process.argv.slice(2));
