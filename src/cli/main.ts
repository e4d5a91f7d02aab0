#!/usr/bin/env node
import '../config/version.ts';
import { loadCheckedConfig, tokenAuth } from '../app/options.ts';
import { localUrl } from '../app/panel.ts';
import { ConfigError, EXIT_CONFIG, loadOwnConfig, ownSurroundings, whenNpmEnds } from '../config/load.ts';
import { packageVersion } from '../config/version.ts';
import { SIMULATOR_USAGE } from '../simulator/options.ts';
import { ALERTS_TEST_USAGE, runAlertsTest } from './alerts-test.ts';
import { CONFIG_USAGE, describeProblems, runConfigCommand } from './config.ts';
import { CONFORMANCE_USAGE, runConformance } from './conformance.ts';
import { DOCTOR_USAGE, runDoctor } from './doctor.ts';
import { EXPORT_USAGE, runExport } from './export.ts';
import { DEMO_USAGE, hasProgram, runDemo, runProgram } from './programs.ts';
import { runTail, TAIL_USAGE } from './tail.ts';
import { runToken, TOKEN_USAGE } from './token.ts';

const SERVE_USAGE = `runcash-live serve

The service. It takes no options: its configuration comes from the environment and from .env in the current folder;
runcash-live config print explains every variable. SIGTERM and SIGINT end it after DRAIN_SECONDS, a second signal at
once. Exit codes: 0 ended as asked, 1 it could not start or go on, 78 the configuration is wrong.`;

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const complain = (line: string): void => void process.stderr.write(`${line}\n`);

/** The address of the service as the configuration has it, reached from this machine. */
function ownUrl(): string {
  const { HOST: host, PORT: port, TLS_CERT_FILE } = loadOwnConfig().config;
  return localUrl({ host, port, tls: TLS_CERT_FILE !== null });
}

/** Aborted when this process is asked to end. */
function untilEnded(): AbortSignal {
  const ending = new AbortController();
  const end = (): void => ending.abort();
  process.once('SIGINT', end).once('SIGTERM', end);
  whenNpmEnds(end);
  return ending.signal;
}

interface Command {
  readonly about: string;
  /** Resolves with the exit code. */
  readonly run: (args: readonly string[]) => Promise<number> | number;
}

/** A program of this package, which answers --help itself. */
const program = (about: string, path: string): Command => ({ about, run: (args) => runProgram(path, args) });

/** One that is built beside `src`, from `bench/`, which an installed package does not have. */
const ofCheckout = (about: string, path: string): Command => ({
  about,
  run(args) {
    if (hasProgram(`../bench/${path}`)) return runProgram(`../bench/${path}`, args);
    complain('This is part of a checkout and not of the package: git clone, npm ci && npm run build.');
    return 1;
  },
});

/** A command that is asked for its usage only answers that, whatever the configuration. */
const explained = (about: string, usage: string, run: Command['run']): Command => ({
  about,
  run(args) {
    if (!args.includes('--help') && !args.includes('-h')) return run(args);
    print(usage);
    return 0;
  },
});

const COMMANDS: Readonly<Record<string, Command>> = {
  serve: explained('the service', SERVE_USAGE, (args) => {
    if (args.length === 0) return runProgram('main.js', []);
    complain(SERVE_USAGE);
    return 2;
  }),
  demo: explained('the service and a croupier that posts to it', DEMO_USAGE, (args) => runDemo(ownUrl(), args)),
  simulate: explained('the croupier alone, or a replay of a recording', SIMULATOR_USAGE, (args) =>
    runProgram('simulator/main.js', args),
  ),
  mongo: program('the built-in MongoDB alone', 'embedded/main.js'),
  tail: explained('live events in the terminal', TAIL_USAGE, (args) => {
    return runTail(args, { print, note: complain, signal: untilEnded(), defaultUrl: ownUrl() });
  }),
  export: explained('the history of a table as CSV or lines of JSON', EXPORT_USAGE, (args) => {
    const output = process.stdout;
    return runExport(args, { output, note: complain, signal: untilEnded(), defaultUrl: ownUrl() });
  }),
  token: explained("make or check a subscriber's token", TOKEN_USAGE, (args) => {
    return runToken(args, { auth: tokenAuth(loadOwnConfig().config), print, note: complain });
  }),
  config: explained('check or explain the configuration, or print a .env file', CONFIG_USAGE, (args) =>
    runConfigCommand(args, loadCheckedConfig, print),
  ),
  doctor: explained('check whether everything here is as it must be', DOCTOR_USAGE, (args) => {
    if (args.length === 0) return runDoctor(loadCheckedConfig, ownSurroundings(), print);
    complain(DOCTOR_USAGE);
    return 2;
  }),
  'alerts-test': explained('send a test message to ALERT_WEBHOOK_URL', ALERTS_TEST_USAGE, (args) =>
    runAlertsTest(args, { config: loadOwnConfig().config, version: packageVersion(), print, note: complain }),
  ),
  conformance: explained('judge a client in any language with a scripted server', CONFORMANCE_USAGE, (args) =>
    runConformance(args, { print, note: complain }),
  ),
  bench: ofCheckout('the measurements', 'main.js'),
  soak: ofCheckout('memory and delivery over a long time', 'soak.js'),
  chaos: ofCheckout('faults by chance, with every promise checked', 'chaos/main.js'),
  'test-mongod': ofCheckout('the suites that are about MongoDB, on real servers', 'test-mongod.js'),
  prove: ofCheckout('all that is proved, in full, in some 20 minutes', 'chaos/prove.js'),
};

function usage(): string {
  const lines = Object.entries(COMMANDS).map(([name, { about }]) => `  ${name.padEnd(13)}${about}`);
  return [
    `runcash-live ${packageVersion()}`,
    '',
    'Usage: runcash-live COMMAND [OPTIONS]',
    '',
    ...lines,
    '',
    'runcash-live COMMAND --help explains a command.',
    '',
    'Exit codes: 0 done, 1 not done, 2 the command line cannot be followed, 78 the configuration is wrong.',
  ].join('\n');
}

async function run([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    print(usage());
    return 0;
  }
  if (name === '--version' || name === '-v') {
    print(packageVersion());
    return 0;
  }
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command !== undefined) return await command.run(args);
  complain(`There is no command ${name}.\n\n${usage()}`);
  return 2;
}

run(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    const isConfig = error instanceof ConfigError;
    for (const line of isConfig ? describeProblems(error) : [error instanceof Error ? error.message : String(error)])
      complain(line);
    process.exitCode = isConfig ? EXIT_CONFIG : 1;
  },
);
