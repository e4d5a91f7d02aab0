import { type EventEmitter, once } from 'node:events';
import { access, constants, mkdir } from 'node:fs/promises';
import { parse } from 'node:path';
import { pino } from 'pino';
import pretty from 'pino-pretty';
import { createStream } from 'rotating-file-stream';
import {
  type FieldsOf,
  isLogEvent,
  LOG_EVENTS,
  type LogEvent,
  type LogFields,
  namesIn,
  type PlainEvent,
  sentenceOf,
  shown,
  THROTTLED,
} from './events.ts';
import { makeRedact } from './redact.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Writes one line. Never throws, never waits. */
interface WriteLine {
  (event: PlainEvent, fields?: LogFields): void;
  <Event extends LogEvent>(event: Event, fields: FieldsOf<Event>): void;
}

/** A structured log: one event of the closed list per line, its sentence, and fields. */
export type Log = Readonly<Record<LogLevel, WriteLine>>;

/** The log of a process, with what only its owner may do. */
export interface RootLog extends Log {
  level(): LogLevel;
  setLevel(level: LogLevel): void;
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

/** How long lines that outsiders cause are counted before they become one line. */
const THROTTLE_MS = 5_000;

const RANKS: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

/** Takes a line of any level. */
export type Write = (level: LogLevel, event: LogEvent, fields: LogFields) => void;

/** A log whose lines go to one function. */
export function logTo(write: Write): Log {
  const writer =
    (level: LogLevel): WriteLine =>
    (event: LogEvent, fields: LogFields = {}) =>
      write(level, event, fields);
  return { debug: writer('debug'), info: writer('info'), warn: writer('warn'), error: writer('error') };
}

/** Opens the log. Rejects when the log file cannot be opened. */
export async function createLog(options: LogOptions): Promise<RootLog> {
  const outlets = [screenOf(options)];
  if (options.file) outlets.push(await fileOf(options.file));
  const logger = pino(
    {
      level: 'trace',
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.multistream(outlets.map(({ stream }) => ({ level: 'trace', stream }))),
  );
  const redact = makeRedact(options.secrets);
  let threshold = options.level;
  const throttle = throttled((level, event, given) => {
    const fields = redact(given);
    logger[level]({ event, ...fields }, sentenceOf(event, fields));
  });
  return {
    ...logTo((level, event, fields) => {
      if (RANKS[level] >= RANKS[threshold]) throttle.write(level, event, fields);
    }),
    level: () => threshold,
    setLevel(level) {
      threshold = level;
    },
    async close() {
      throttle.flush();
      for (const outlet of outlets) await outlet.close();
    },
  };
}

interface Crowd {
  /** The last line that was not written, and how many it stands for. */
  last: Parameters<Write> | null;
  times: number;
  readonly timer: NodeJS.Timeout;
}

/** Writes the first line of a throttled event at once, and one for all that follow within the interval. */
function throttled(write: Write): { readonly write: Write; flush(): void } {
  const crowds = new Map<LogEvent, Crowd>();
  const release = (crowd: Crowd): void => {
    if (crowd.last === null) return;
    const [level, event, fields] = crowd.last;
    write(level, event, { ...fields, times: crowd.times });
    crowd.last = null;
    crowd.times = 0;
  };
  const onInterval = (event: LogEvent, crowd: Crowd): void => {
    if (crowd.last !== null) release(crowd);
    else {
      clearInterval(crowd.timer);
      crowds.delete(event);
    }
  };
  return {
    write(level, event, fields) {
      const known = crowds.get(event);
      if (known !== undefined) {
        known.last = [level, event, fields];
        known.times += 1;
        return;
      }
      write(level, event, fields);
      if (!THROTTLED.has(event)) return;
      const timer = setInterval(() => onInterval(event, crowd), THROTTLE_MS).unref();
      const crowd: Crowd = { last: null, times: 0, timer };
      crowds.set(event, crowd);
    },
    flush() {
      for (const crowd of crowds.values()) {
        clearInterval(crowd.timer);
        release(crowd);
      }
      crowds.clear();
    },
  };
}

/**
 * Switches between `debug` and the level from before at every SIGUSR2, so that a running instance can be looked into.
 * Returns what ends that.
 */
export function switchLevelOnSignal(log: Pick<RootLog, 'level' | 'setLevel' | 'warn'>): () => void {
  const usual = log.level();
  const onSignal = (): void => {
    const level = log.level() === 'debug' ? (usual === 'debug' ? 'info' : usual) : 'debug';
    log.setLevel(level);
    log.warn('log_level', { to: level });
  };
  process.on('SIGUSR2', onSignal);
  return () => process.off('SIGUSR2', onSignal);
}

interface Outlet {
  readonly stream: pino.DestinationStream;
  close(): Promise<void>;
}

function screenOf(options: LogOptions): Outlet {
  const { output } = options;
  if (output === undefined) {
    const stdout = pino.destination({ dest: 1, sync: options.pretty });
    if (options.pretty) return prettyOver(stdout);
    return { stream: stdout, close: () => ending(stdout) };
  }
  // An output that was handed in stays open: it belongs to the caller.
  return options.pretty ? prettyOver(output) : { stream: output, close: () => Promise.resolve() };
}

function prettyOver(destination: pino.DestinationStream | NodeJS.WritableStream): Outlet {
  const stream = pretty({ destination, ignore: 'pid', hideObject: true, messageFormat: readable });
  return { stream, close: () => ending(stream) };
}

const ON_EVERY_LINE = ['level', 'time', 'pid', 'event', 'msg'];

/** A line for a person: its sentence, then the fields that the sentence does not name. */
function readable(line: Readonly<Record<string, unknown>>): string {
  const { event, msg } = line;
  const told = [...ON_EVERY_LINE, ...(isLogEvent(event) ? namesIn(LOG_EVENTS[event]) : [])];
  const rest = Object.entries(line).filter(([name]) => !told.includes(name));
  const text = rest.map(([name, value]) => `${name}: ${shown(stackOf(value) ?? value)}`).join(', ');
  // Indented, so that no text of a stack can pass for a line of the log.
  return `${shown(msg)}${text === '' ? '' : ` (${text})`}`.replaceAll('\n', '\n    ');
}

const stackOf = (value: unknown): unknown =>
  typeof value === 'object' && value !== null && 'stack' in value ? value.stack : undefined;

/** A worker thread of pino writes the file: rotation may take its time there. */
async function fileOf({ path, maxMb, keep }: NonNullable<LogOptions['file']>): Promise<Outlet> {
  const { dir, name, ext, base } = parse(path);
  // Asked here, since a folder that cannot be written must end the start.
  await mkdir(dir === '' ? '.' : dir, { recursive: true });
  await access(dir === '' ? '.' : dir, constants.W_OK);
  /** The file in use has the plain name; closed ones carry their day and a number. */
  const nameOf = (time: number | Date | null, index?: number): string =>
    time === null ? base : `${name}.${new Date(time).toISOString().slice(0, 10)}.${index}${ext}`;
  const stream = createStream(nameOf, {
    path: dir === '' ? '.' : dir,
    size: `${maxMb}M`,
    interval: '1d',
    maxFiles: keep,
    history: `${base}.history`,
  });
  let broken = false;
  stream.on('error', (error) => {
    if (!broken) process.stderr.write(`The log file is given up: ${error.message}\n`);
    broken = true;
  });
  await once(stream, 'open');
  return {
    // A stream that failed throws at every write: a full disk must not end the service.
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
