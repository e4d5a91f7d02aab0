import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type EmbeddedMongoOptions, startEmbeddedMongo } from './server.ts';

const USAGE = `A MongoDB-compatible server for development and tests.

  --port N            port to listen on, 0 for any free one (27017)
  --host ADDRESS      address to listen on; without --auth it has no passwords: keep it on this machine (127.0.0.1)
  --auth              users must authenticate (SCRAM); the first is made from this machine, by createUser on admin
  --data DIR          folder that keeps the data; without it, memory only
  --oplog-size-mb N   history that change streams can go back to (64)
  --max-mb N          data, indexes and oplog above which inserts are refused (what the process can hold)
  --compat 4.4|8.0    whose behaviour to show (4.4)
  --standalone        no replica set: no oplog, no change streams, no transactions
  --log-level LEVEL   info, warn (problems only) or error (server defects only) (info)
  --ready-file FILE   written when it listens, with its address; removed at the end
  --help              this text

It ends on SIGTERM and SIGINT, when everything is on disk. Exit codes: 0 ended as asked, 1 it could not start or go on,
2 the command line.

Started with an IPC channel (child_process.fork) it sends {type: 'listening', uri, port}, {type: 'failed', message, name,
code} when it cannot start, {type: 'report', words} when the data folder stops or resumes taking writes, and ends when
the channel closes, however its parent ended. It then leaves SIGINT to its parent.

It is not a database for production: one process on one machine, without TLS and a second copy of the data. Use a
real MongoDB replica set there.`;

/** What a parent that started this program with an IPC channel is told. */
export type ChildMessage =
  | { readonly type: 'listening'; readonly uri: string; readonly port: number }
  | { readonly type: 'failed'; readonly message: string; readonly name: string; readonly code?: string }
  | { readonly type: 'report'; readonly words: string };

const LEVELS = ['info', 'warn', 'error'] as const;

interface Wish {
  readonly help: boolean;
  readonly server: EmbeddedMongoOptions;
  readonly level: (typeof LEVELS)[number];
  readonly readyFile: string | undefined;
}

/** Reads the command line. @throws Error in words when it cannot be read */
function readOptions(): Wish {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '27017' },
      host: { type: 'string', default: '127.0.0.1' },
      data: { type: 'string' },
      'oplog-size-mb': { type: 'string', default: '64' },
      'max-mb': { type: 'string' },
      compat: { type: 'string', default: '4.4' },
      standalone: { type: 'boolean', default: false },
      auth: { type: 'boolean', default: false },
      'log-level': { type: 'string', default: 'info' },
      'ready-file': { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const { host, standalone, compat, data, help } = values;
  const port = Number(values.port);
  const oplogSizeMb = Number(values['oplog-size-mb']);
  const level = LEVELS.find((one) => one === values['log-level']);
  if (!/^\d+$/.test(values.port) || port > 65_535) throw new Error(`--port must be 0 to 65535, not ${values.port}`);
  if (!(oplogSizeMb > 0)) throw new Error(`--oplog-size-mb must be above 0, not ${values['oplog-size-mb']}`);
  if (compat !== '4.4' && compat !== '8.0') throw new Error(`--compat must be 4.4 or 8.0, not ${compat}`);
  if (level === undefined) throw new Error(`--log-level must be ${LEVELS.join(', ')}, not ${values['log-level']}`);
  if (data === '') throw new Error('--data must name a folder; leave it out for memory only');
  const maxMb = values['max-mb'] === undefined ? undefined : Number(values['max-mb']);
  if (maxMb !== undefined && !(maxMb > 0)) throw new Error(`--max-mb must be above 0, not ${values['max-mb']}`);
  const kept = data === undefined ? {} : { dataDir: data };
  const bounded = maxMb === undefined ? {} : { maxMb };
  return {
    help,
    server: { host, port, standalone, compat, oplogSizeMb, auth: values.auth, ...kept, ...bounded },
    level,
    readyFile: values['ready-file'],
  };
}

/** Whoever waits for the file finds it whole. */
function writeReadyFile(path: string, uri: string): void {
  const unfinished = `${path}.${process.pid}.new`;
  writeFileSync(unfinished, `${uri}\n`);
  renameSync(unfinished, path);
}

/** Tells the parent, when there is one that listens. */
function tell(message: ChildMessage): void {
  if (process.send === undefined || !process.connected) return;
  // A parent that is gone is noticed by 'disconnect'; a message to it is nobody's loss.
  process.send(message, undefined, undefined, () => undefined);
}

async function serve({ server, level, readyFile }: Wish): Promise<void> {
  if (readyFile !== undefined) rmSync(readyFile, { force: true });
  const report = (words: string) => {
    if (level !== 'error') console.error(words);
    tell({ type: 'report', words });
  };
  const running = await startEmbeddedMongo({ ...server, report });
  if (level === 'info') {
    const { dataDir } = server;
    console.log(dataDir === undefined ? 'data in memory only' : `data in ${dataDir}`);
  }
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    if (readyFile !== undefined) rmSync(readyFile, { force: true });
    running
      .stop()
      .catch((error: unknown) => {
        console.error(error);
        process.exitCode = 1;
      })
      .finally(() => {
        if (process.connected) process.disconnect();
      });
  };
  process.on('SIGTERM', stop);
  if (process.send === undefined) process.on('SIGINT', stop);
  else endWithParent(stop);
  // Scripts wait for this line, whatever the log level.
  console.log(`listening ${running.uri}`);
  tell({ type: 'listening', uri: running.uri, port: running.port });
  if (readyFile !== undefined) writeReadyFile(readyFile, running.uri);
}

/** Ctrl+C reaches a terminal's whole process group: the parent drains first, and needs its database for that. */
function endWithParent(stop: () => void): void {
  process.on('SIGINT', () => undefined);
  if (!process.connected) stop();
  process.on('disconnect', stop);
}

async function main(): Promise<void> {
  // Whoever read the output may be gone before this program is.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  let wish: Wish;
  try {
    wish = readOptions();
  } catch (error) {
    fail(error, `\n\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  if (wish.help) {
    console.log(USAGE);
    return;
  }
  try {
    await serve(wish);
  } catch (error) {
    fail(error);
    process.exitCode = 1;
  }
}

function fail(error: unknown, usage = ''): void {
  const { message, name } = error instanceof Error ? error : new Error(String(error));
  console.error(`${message}${usage}`);
  const code = error instanceof Error && 'code' in error ? { code: String(error.code) } : {};
  tell({ type: 'failed', message, name, ...code });
  if (process.connected) process.disconnect();
}

await main();
