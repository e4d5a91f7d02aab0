import { type EventEmitter, once } from 'node:events';
import { access, constants, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import type { LogEvent } from './events.ts';
import { makeRedact, type Redact } from './redact.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export type LogFields = Readonly<Record<string, unknown>>;

/** A structured log: one event of the closed list per line, with fields. Never throws, never waits. */
export interface Log {
  debug(event: LogEvent, fields?: LogFields): void;
  info(event: LogEvent, fields?: LogFields): void;
  warn(event: LogEvent, fields?: LogFields): void;
  error(event: LogEvent, fields?: LogFields): void;
  /** The same log with fields on every line, such as the id of a connection or request. */
  child(fields: LogFields): Log;
  level(): LogLevel;
  setLevel(level: LogLevel): void;
}

export interface RootLog extends Log {
  /** Writes what is still buffered and lets go of the file. */
  close(): Promise<void>;
}

export interface LogOptions {
  readonly level: LogLevel;
  /** Human-readable lines instead of JSON. */
  readonly pretty: boolean;
  /** Where lines go; standard output unless given. */
  readonly output?: NodeJS.WritableStream;
  /** A second copy in a file that is closed daily and at `maxMb`, of which `keep` closed ones stay. */
  readonly file?: { readonly path: string; readonly maxMb: number; readonly keep: number } | null;
  /** Texts that never appear in a line. */
  readonly secrets?: readonly string[];
}

/** Opens the log. Rejects when the log file cannot be opened. */
export async function createLog(options: LogOptions): Promise<RootLog> {
  const outlets = [screenOf(options)];
  if (options.file) outlets.push(await fileOf(options.file));
  const logger = pino(
    {
      level: 'trace',
      messageKey: 'event',
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.multistream(outlets.map(({ stream }) => ({ level: 'trace', stream }))),
  );
  return {
    ...logOver(logger, makeRedact(options.secrets), { level: options.level }),
    async close() {
      for (const outlet of outlets) await outlet.close();
    },
  };
}

/**
 * Switches between `debug` and the level from before at every SIGUSR2, so that a running instance can be looked into.
 * Returns what ends that.
 */
export function switchLevelOnSignal(log: Log): () => void {
  const usual = log.level();
  const onSignal = (): void => {
    const level = log.level() === 'debug' ? (usual === 'debug' ? 'info' : usual) : 'debug';
    log.setLevel(level);
    log.warn('log_level', { to: level });
  };
  process.on('SIGUSR2', onSignal);
  return () => process.off('SIGUSR2', onSignal);
}

type Logger = pino.Logger<never, boolean>;

/** One level for a log and all its children: a connection's log follows when an operator turns on `debug`. */
interface Threshold {
  level: LogLevel;
}

const RANKS: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

function logOver(logger: Logger, redact: Redact, threshold: Threshold): Log {
  const write = (level: LogLevel, event: LogEvent, fields: LogFields): void => {
    if (RANKS[level] >= RANKS[threshold.level]) logger[level](redact(fields), event);
  };
  return {
    debug: (event, fields = {}) => write('debug', event, fields),
    info: (event, fields = {}) => write('info', event, fields),
    warn: (event, fields = {}) => write('warn', event, fields),
    error: (event, fields = {}) => write('error', event, fields),
    child: (fields) => logOver(logger.child(redact(fields)), redact, threshold),
    level: () => threshold.level,
    setLevel: (level) => {
      threshold.level = level;
    },
  };
}

interface Outlet {
  readonly stream: pino.DestinationStream;
  close(): Promise<void>;
}

function screenOf(options: LogOptions): Outlet {
  const { output } = options;
  if (output === undefined) {
    const stdout = pino.destination({ dest: 1, sync: false });
    if (options.pretty) return prettyOver(stdout);
    return { stream: stdout, close: () => ending(stdout) };
  }
  // An output that was handed in stays open: it belongs to the caller.
  return options.pretty ? prettyOver(output) : { stream: output, close: () => Promise.resolve() };
}

function prettyOver(destination: pino.DestinationStream | NodeJS.WritableStream): Outlet {
  const stream = pretty({ destination, messageKey: 'event', ignore: 'pid', singleLine: true });
  return { stream, close: () => ending(stream) };
}

/** A worker thread of pino writes the file: rotation may take its time there. */
async function fileOf(file: NonNullable<LogOptions['file']>): Promise<Outlet> {
  // Asked here, since the worker would report a folder that cannot be written only after the start was announced.
  await mkdir(dirname(file.path), { recursive: true });
  await access(dirname(file.path), constants.W_OK);
  const stream = pino.transport({
    target: 'pino-roll',
    options: {
      file: file.path,
      frequency: 'daily',
      dateFormat: 'yyyy-MM-dd',
      size: `${file.maxMb}m`,
      limit: { count: file.keep },
    },
  });
  await once(stream, 'ready');
  let broken = false;
  stream.on('error', (error) => {
    if (!broken) process.stderr.write(`The log file is given up: ${error.message}\n`);
    broken = true;
  });
  return {
    // A worker that has ended throws at every write: a full disk must not end the service.
    stream: { write: (line) => void (broken || stream.write(line)) },
    close: async () => {
      if (!broken) await ending(stream);
    },
  };
}

async function ending(stream: EventEmitter & { end(): void }): Promise<void> {
  const closed = once(stream, 'close');
  stream.end();
  await closed;
}
