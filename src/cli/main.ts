#!/usr/bin/env node
import { ConfigError, EXIT_CONFIG, loadOwnConfig, ownSurroundings } from '../config/load.ts';
import { packageVersion } from '../config/version.ts';
import { runAlertsTest } from './alerts-test.ts';
import { describeProblems, runConfigCommand } from './config.ts';
import { runDemo } from './demo.ts';
import { runDoctor } from './doctor.ts';
import { hasProgram, runProgram } from './programs.ts';
import { runTail } from './tail.ts';
import { runToken } from './token.ts';

const USAGE = `runcash-live ${packageVersion()}

runcash-live serve              the service
runcash-live demo               the service and a croupier that posts to it
runcash-live simulate ...       the croupier alone, or a replay (--help)
runcash-live mongo ...          the built-in MongoDB alone (--help)
runcash-live tail <topic>       live events in the terminal (--help)
runcash-live token make|check   subscribers' tokens (--help)
runcash-live config check|print|env
runcash-live doctor             is everything here as it must be
runcash-live bench ...          the measurements, in a checkout (--help)
runcash-live alerts-test        one test message to ALERT_WEBHOOK_URL (--help)`;

/** Built beside `src` from a folder of its own, which an installed package may lack. */
const BENCH = '../bench/main.js';

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const complain = (line: string): void => void process.stderr.write(`${line}\n`);

/** The address of the service as the configuration has it, reached from this machine. */
function localUrl(): string {
  const { HOST, PORT, TLS_CERT_FILE } = loadOwnConfig().config;
  const host = HOST === '0.0.0.0' || HOST === '::' ? '127.0.0.1' : HOST.includes(':') ? `[${HOST}]` : HOST;
  return `${TLS_CERT_FILE === null ? 'http' : 'https'}://${host}:${PORT}`;
}

async function run([command, ...args]: readonly string[]): Promise<number> {
  switch (command) {
    case 'serve':
      return await runProgram('main.js', args);
    case 'simulate':
      return await runProgram('simulator/main.js', args);
    case 'mongo':
      return await runProgram('embedded/main.js', args);
    case 'bench':
      if (hasProgram(BENCH)) return await runProgram(BENCH, args);
      complain('The measurements are not built here: in a checkout, npm ci && npm run build.');
      return 1;
    case 'demo':
      return await runDemo(localUrl(), args);
    case 'tail': {
      const ending = new AbortController();
      process.once('SIGINT', () => ending.abort()).once('SIGTERM', () => ending.abort());
      return await runTail(args, { print, note: complain, signal: ending.signal, defaultUrl: localUrl() });
    }
    case 'token': {
      const { JWT_SECRET: secret, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = loadOwnConfig().config;
      return await runToken(args, { secret, issuer, audience, print, note: complain });
    }
    case 'config':
      return runConfigCommand(args, () => loadOwnConfig(), print);
    case 'doctor':
      return await runDoctor(() => loadOwnConfig(), ownSurroundings(), print);
    case 'alerts-test':
      return await runAlertsTest(args, {
        config: loadOwnConfig().config,
        version: packageVersion(),
        print,
        note: complain,
      });
    case undefined:
    case 'help':
    case '--help':
    case '-h':
      print(USAGE);
      return 0;
    default:
      complain(`There is no command ${command}.\n\n${USAGE}`);
      return 2;
  }
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
