import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { Log } from '../log/log.ts';

export interface BuiltinOptions {
  /** The built program of the server, `embedded/main.js`. */
  readonly program: string;
  /** 0 takes any free one. */
  readonly port: number;
  /** The folder that keeps the data; null keeps it in memory only. */
  readonly dataDir: string | null;
  /** Data, indexes and oplog above which it refuses inserts; 0 leaves it to the server. */
  readonly maxMb: number;
  readonly log: Log;
}

export interface BuiltinMongo {
  readonly uri: string;
  /** The process that serves at the moment; changes when it is started again. */
  pid(): number | undefined;
  /** Ends the server when everything is on disk. */
  stop(): Promise<void>;
}

/** The built-in MongoDB could not start; `code` is that of the system (EADDRINUSE) or of the data folder, if any. */
export class BuiltinStartError extends Error {
  override readonly name = 'BuiltinStartError';
  /** The name of the server's own error, such as DataFolderError. */
  readonly reason: string;
  readonly code: string | null;

  constructor(message: string, reason = '', code: string | null = null) {
    super(message);
    this.reason = reason;
    this.code = code;
  }
}

/** What the server says over IPC; the counterpart is in its own `main.ts`. */
const said = z.discriminatedUnion('type', [
  z.object({ type: z.literal('listening'), uri: z.string(), port: z.number() }),
  z.object({ type: z.literal('failed'), message: z.string(), name: z.string(), code: z.string().optional() }),
  z.object({ type: z.literal('report'), words: z.string() }),
]);

/** A server that ended by itself is started again after this, doubled each time up to the cap; forgotten after a quiet minute. */
const RESTART_MS = 200;
const RESTART_CAP_MS = 10_000;
const STABLE_MS = 60_000;
/** How long the server of a killed parent may still have the folder: it ends by itself, after writing what it has. */
const FOLDER_WAIT_MS = 10_000;
const FOLDER_ASK_MS = 200;
const STOP_MS = 30_000;
/** Of what a crashing server wrote last, so many lines are reported. */
const LAST_LINES = 12;

/**
 * Starts the built-in MongoDB as a process of its own, as a mongod is started. It ends with this process, however that
 * ends, since the channel between them closes; when it ends by itself, it is started again on the same data and port.
 * Rejects with BuiltinStartError.
 */
export async function startBuiltin(options: BuiltinOptions): Promise<BuiltinMongo> {
  const { log, dataDir } = options;
  const stopping = new AbortController();
  let running = await launchWhenFree(options);
  const { port, uri } = running;
  const sayStarted = (): void => log.info('mongo_started', { uri, mongoPid: running.child.pid });
  sayStarted();

  const keepRunning = async (): Promise<void> => {
    for (let deaths = 0; ; deaths++) {
      const startedMs = performance.now();
      const ended = await running.ended;
      if (stopping.signal.aborted) return;
      if (performance.now() - startedMs > STABLE_MS) deaths = 0;
      const waitMs = Math.min(RESTART_CAP_MS, RESTART_MS * 2 ** deaths);
      log.error('mongo_ended', { words: `The built-in MongoDB ${ended}.${lossOf(dataDir)}`, restartMs: waitMs });
      const again = await startAgain(waitMs);
      if (again === null) return;
      running = again;
      sayStarted();
    }
  };
  /** Null when `stop` came first. */
  const startAgain = async (firstWaitMs: number): Promise<Launched | null> => {
    for (let waitMs = firstWaitMs; ; waitMs = Math.min(RESTART_CAP_MS, waitMs * 2)) {
      await sleep(waitMs, undefined, { signal: stopping.signal }).catch(() => undefined);
      if (stopping.signal.aborted) return null;
      try {
        return await launch({ ...options, port });
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        log.error('mongo_ended', { words: `The built-in MongoDB cannot be started again: ${reason}` });
      }
    }
  };
  const kept = keepRunning();
  return {
    uri,
    pid: () => running.child.pid,
    async stop() {
      stopping.abort();
      await Promise.all([end(running), kept]);
      // One that was being started when this was called.
      await end(running);
    },
  };
}

const lossOf = (dataDir: string | null): string =>
  dataDir === null
    ? ' Its data was in memory only and is gone.'
    : ' It is started again; what was acknowledged is on disk.';

interface Launched {
  readonly child: ChildProcess;
  readonly uri: string;
  readonly port: number;
  /** How the process ended, in words that complete a sentence about it. */
  readonly ended: Promise<string>;
}

/** Starts the server; when the data folder is still in use by one that is ending, waits for that. */
async function launchWhenFree(options: BuiltinOptions): Promise<Launched> {
  const lastMs = performance.now() + FOLDER_WAIT_MS;
  for (let attempt = 1; ; attempt++) {
    try {
      return await launch(options);
    } catch (error) {
      const inUse = error instanceof BuiltinStartError && error.code === 'FOLDER_IN_USE';
      if (!inUse || performance.now() > lastMs) throw error;
      const patience = `; waiting up to ${FOLDER_WAIT_MS / 1000} s for it to end`;
      if (attempt === 1) options.log.info('mongo_report', { words: error.message + patience });
      await sleep(FOLDER_ASK_MS);
    }
  }
}

/** Starts the server once. Rejects with BuiltinStartError when it ends before it listens. */
async function launch({ program, port, dataDir, maxMb, log }: BuiltinOptions): Promise<Launched> {
  const data = dataDir === null ? [] : ['--data', dataDir];
  const limit = maxMb === 0 ? [] : ['--max-mb', String(maxMb)];
  const child = fork(program, ['--port', String(port), '--log-level', 'error', ...data, ...limit], {
    // A group of its own: a Ctrl+C is for this process, which needs its database while it drains.
    detached: true,
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  const lastLines = linesOf(child);
  // Not 'close' of the process: that never comes when this side closes the channel (Node 20 and 22).
  const written = child.stderr === null ? null : once(child.stderr, 'close');
  const ended = once(child, 'exit').then(async ([code, signal]: unknown[]) => {
    await written;
    const how = typeof signal === 'string' ? `was ended by ${signal}` : `ended with exit code ${String(code)}`;
    return lastLines.length === 0 ? how : `${how}: ${lastLines.join('\n')}`;
  });
  // A process that cannot be started has no end; an ended one may be told twice.
  ended.catch(() => undefined);
  return await new Promise((resolve, reject) => {
    child.once('error', (cause) => reject(new BuiltinStartError(`it cannot be started: ${cause.message}`)));
    ended.then(
      (how) => reject(new BuiltinStartError(`it ${how}`)),
      (cause) => reject(new BuiltinStartError(`it cannot be started: ${String(cause)}`)),
    );
    child.on('message', (raw) => {
      const parsed = said.safeParse(raw);
      if (!parsed.success) return;
      const message = parsed.data;
      switch (message.type) {
        case 'listening':
          resolve({ child, uri: message.uri, port: message.port, ended });
          return;
        case 'failed':
          reject(new BuiltinStartError(message.message, message.name, message.code ?? null));
          return;
        case 'report':
          log.warn('mongo_report', { words: message.words });
          return;
        default:
          message satisfies never;
      }
    });
  });
}

/** The last lines that a process wrote to its standard error, kept up to date. */
function linesOf(child: ChildProcess): readonly string[] {
  const lines: string[] = [];
  if (child.stderr === null) return lines;
  createInterface({ input: child.stderr }).on('line', (line) => {
    lines.push(line);
    if (lines.length > LAST_LINES) lines.shift();
  });
  return lines;
}

/** Closes the channel, by which the server knows that it is to end, and waits; ends it by force when that takes too long. */
async function end({ child, ended }: Launched): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  if (child.connected) child.disconnect();
  const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await ended;
  clearTimeout(late);
}
