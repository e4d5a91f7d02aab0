import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { GatewayOptions } from '../../src/gateway/options.ts';
import type { ServerOrder, ServerReport, WitnessMessage, WitnessOrder, WitnessReport } from './process/orders.ts';

/** The server under attack. */
export interface Target {
  readonly host: string;
  readonly port: number;
  /** `host:port`. */
  readonly url: string;
  /** Null for a server that was already running: it is only seen from outside. */
  readonly inside: {
    counters(): Promise<Extract<ServerReport, { report: 'counters' }>>;
    pour(perMs: number): Promise<void>;
  } | null;
  /** Rejects when the process has ended. */
  alive(): void;
  stop(): Promise<void>;
}

/** The address given with `--url`, when the suite runs against a server that is already there. */
const GIVEN = process.env['HOSTILE_URL'];

/** True when the suite starts its own server and may look inside. */
export const OWN = GIVEN === undefined;

function messagesOf<Message extends { report: string }>(child: ChildProcess) {
  const waiting: { report: string; take: (message: Message) => void }[] = [];
  child.on('message', (message: Message) => {
    const at = waiting.findIndex(({ report }) => report === message.report);
    if (at >= 0) waiting.splice(at, 1)[0]?.take(message);
  });
  return <Name extends Message['report']>(report: Name): Promise<Extract<Message, { report: Name }>> =>
    new Promise((resolve, reject) => {
      const isAsked = (message: Message): message is Extract<Message, { report: Name }> => message.report === report;
      waiting.push({ report, take: (message) => isAsked(message) && resolve(message) });
      child.once('exit', (code, signal) => reject(new Error(`the process ended: ${signal ?? code}`)));
    });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.disconnect();
  await exit;
}

/** The shell sets the limit and becomes the server, so that the process at the other end of the channel is the server. */
function forkLimited(script: string, args: string[], descriptors: number | null): ChildProcess {
  if (descriptors === null) return fork(script, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const command = `ulimit -n ${descriptors} && exec "$0" "$@"`;
  return spawn('sh', ['-c', command, process.execPath, script, ...args], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
}

/** Starts a server in a process of its own, with so many descriptors at most, or takes the given one. */
export async function startTarget(
  options: Partial<GatewayOptions> = {},
  descriptors: number | null = null,
): Promise<Target> {
  if (GIVEN !== undefined) {
    const { hostname, port } = new URL(GIVEN);
    const given = { host: hostname, port: Number(port), url: `${hostname}:${port}` };
    return { ...given, inside: null, alive() {}, async stop() {} };
  }
  const child = forkLimited('dist/hostile/server.mjs', [JSON.stringify(options)], descriptors);
  child.setMaxListeners(0);
  const next = messagesOf<ServerReport>(child);
  const { port } = await next('ready');
  const order = (message: ServerOrder): void => void child.send(message);
  return {
    host: '127.0.0.1',
    port,
    url: `127.0.0.1:${port}`,
    inside: {
      counters() {
        const report = next('counters');
        order({ order: 'counters' });
        return report;
      },
      async pour(perMs) {
        const poured = next('poured');
        order({ order: 'pour', perMs });
        await poured;
      },
    },
    alive() {
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new Error(`the server ended: ${child.signalCode ?? child.exitCode}`);
      }
    },
    stop: () => end(child),
  };
}

/** The 200 clients that behave. */
export interface Witnesses {
  /** From here on counts what they see. */
  begin(): void;
  /** What they saw since. */
  seen(): Promise<WitnessReport>;
  stop(): Promise<void>;
}

export async function startWitnesses(target: Target): Promise<Witnesses> {
  const child = fork('dist/hostile/witness.mjs', [`ws://${target.url}/ws`], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  child.setMaxListeners(0);
  const next = messagesOf<WitnessMessage>(child);
  await next('ready');
  const order = (message: WitnessOrder): void => void child.send(message);
  return {
    begin: () => order({ order: 'window' }),
    seen() {
      const report = next('seen');
      order({ order: 'report' });
      return report;
    },
    stop: () => end(child),
  };
}
