import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { EXIT_CONFIG, environmentWith, loadOwnConfig, ownSurroundings } from '../src/config/load.ts';
import { findMongod, startMongod } from '../src/mongo/choose.ts';
import { commandLine, HELP } from './harness/command-line.ts';

/** The suites that are about MongoDB, on real servers instead of the built-in one. */

const USAGE = `runcash-live test-mongod [VERSION ...] [--rounds 100]

Runs the suites test/store, test/feed, test/e2e and test/faults and rounds of chaos on one mongod after the other; by
default on 4.4 and 8.0. VERSION is 4.4, 6.0, 7.0, 8.0, a full version such as 7.0.16, or "own" for the mongod of this
machine (MONGOMS_SYSTEM_BINARY, or the first in PATH). A version that is not in the cache of mongodb-memory-server is
downloaded from fastdl.mongodb.org or from MONGOMS_DOWNLOAD_MIRROR.

Exit codes: 0 everything passed, 1 something failed, 2 the command line, 78 a mongod cannot be had or started.`;

/** The newest of each series that the suites were run on. */
const NEWEST: Readonly<Record<string, string>> = { '4.4': '4.4.29', '6.0': '6.0.19', '7.0': '7.0.16', '8.0': '8.0.4' };

const ONE_BY_ONE = ['node_modules/vitest/vitest.mjs', 'run', '--no-file-parallelism'];

/** What is run on each server, by name: a fail point is one for the whole server, so one file follows the other. */
const suitesOf = (uri: string, rounds: string): readonly (readonly [string, readonly string[]])[] => [
  ['store, feed, e2e', [...ONE_BY_ONE, 'test/store', 'test/feed', 'test/e2e']],
  ['faults', [...ONE_BY_ONE, '--config', 'test/faults/vitest.config.ts']],
  ['chaos', ['dist/bench/chaos/main.js', '--rounds', rounds, '--uri', uri]],
];

function readOptions() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { rounds: { type: 'string', default: '100' }, help: HELP },
  });
  if (values.help) return null;
  for (const version of positionals) {
    if (version !== 'own' && NEWEST[version] === undefined && !/^\d+\.\d+\.\d+$/.test(version)) {
      throw new Error(`${version} is no version of MongoDB that this knows; give a full one, such as 7.0.16`);
    }
  }
  if (!/^[1-9]\d*$/.test(values.rounds)) throw new Error('--rounds must be a whole number above 0');
  return { versions: positionals.length === 0 ? ['4.4', '8.0'] : positionals, rounds: values.rounds };
}

/** A mongod cannot be had; the message says what to do. */
class NoMongodError extends Error {
  override readonly name = 'NoMongodError';
}

/** The program of a version. Rejects with NoMongodError. */
async function programOf(version: string): Promise<string> {
  try {
    if (version === 'own') {
      const found = findMongod(loadOwnConfig().config.MONGOMS_SYSTEM_BINARY, ownSurroundings());
      if (found !== null) return found;
      throw new Error('there is none in PATH or in MONGOMS_SYSTEM_BINARY');
    }
    const { MongoBinary } = await import('mongodb-memory-server');
    return await MongoBinary.getPath({ version: NEWEST[version] ?? version });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NoMongodError(
      `No mongod ${version}: ${reason}\nWithout a network: install a mongod and run "runcash-live test-mongod own" with ` +
        'MONGOMS_SYSTEM_BINARY=/path/to/mongod, set MONGOMS_DOWNLOAD_MIRROR to a copy of fastdl.mongodb.org, or run the ' +
        'suites on a replica set that runs already: TEST_MONGODB_URI=mongodb://... npx vitest run --no-file-parallelism',
      { cause },
    );
  }
}

/** The suite that runs now is ended with this process, and by a signal to it. */
const ending = new AbortController();

/** Whether a suite passed. */
async function passes(args: readonly string[], uri: string): Promise<boolean> {
  const suite = spawn(process.execPath, args, {
    stdio: 'inherit',
    env: environmentWith({ TEST_MONGODB_URI: uri }),
    signal: ending.signal,
  });
  suite.on('error', () => undefined);
  const [code]: unknown[] = await once(suite, 'close');
  return code === 0;
}

/** Runs every suite on a mongod. Returns the names of those that failed. */
async function testOn(version: string, program: string, rounds: string): Promise<string[]> {
  const mongod = await startMongod(program, 0, ['--setParameter', 'enableTestCommands=1']).catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new NoMongodError(`mongod ${version} (${program}) does not start: ${reason}`, { cause });
  });
  const failed: string[] = [];
  try {
    for (const [name, args] of suitesOf(mongod.uri, rounds)) {
      if (ending.signal.aborted) break;
      console.log(`mongod ${version}: ${name}`);
      if (!(await passes(args, mongod.uri))) failed.push(name);
    }
  } finally {
    await mongod.stop();
  }
  return failed;
}

async function main(): Promise<number> {
  const { versions, rounds } = commandLine(USAGE, readOptions);
  const end = (): void => ending.abort();
  process.once('SIGINT', end).once('SIGTERM', end);
  try {
    // All of them first: a version that is missing is told before an hour of tests.
    const programs: (readonly [string, string])[] = [];
    for (const version of versions) programs.push([version, await programOf(version)]);
    let failures = 0;
    for (const [version, program] of programs) {
      if (ending.signal.aborted) return 143;
      const failed = await testOn(version, program, rounds);
      console.log(`mongod ${version}: ${failed.length === 0 ? 'every suite passed' : `failed: ${failed.join(', ')}`}`);
      failures += failed.length;
    }
    return ending.signal.aborted ? 143 : Math.min(failures, 1);
  } catch (error) {
    if (!(error instanceof NoMongodError)) throw error;
    console.error(error.message);
    return EXIT_CONFIG;
  }
}

process.exitCode = await main();
