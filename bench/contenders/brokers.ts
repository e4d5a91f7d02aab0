import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startCommand, startProgram } from '../harness/child.ts';
import type { Subject, SubjectKind } from '../harness/subject.ts';
import { childrenOf } from '../harness/usage.ts';
import type { DialectName } from '../load/dialects.ts';

/** Brokers of Debian, fed by the same watcher; each is left out with a word where it is not installed. */

interface Recipe {
  readonly name: string;
  readonly broker: 'mqtt' | 'nats' | 'nchan';
  readonly program: string;
  readonly packages: string;
  readonly dialect: DialectName;
  /** A further file that must be there. */
  needs?(program: string): string;
  /** The configuration for a port that is fed and one for subscribers. */
  configuration(ports: Ports, folder: string, program: string): string;
  args(file: string, folder: string): string[];
}

interface Ports {
  readonly feed: number;
  readonly web: number;
}

const nchanModule = (program: string): string =>
  join(dirname(dirname(program)), 'lib/nginx/modules/ngx_nchan_module.so');

const RECIPES: readonly Recipe[] = [
  {
    name: 'mosquitto + change stream',
    broker: 'mqtt',
    program: 'mosquitto',
    packages: 'mosquitto',
    dialect: 'mqtt',
    configuration: ({ feed, web }) =>
      [
        `listener ${feed} 127.0.0.1`,
        'allow_anonymous true',
        'set_tcp_nodelay true',
        // Started by root it would change to a user that may not be there.
        'user root',
        `listener ${web} 127.0.0.1`,
        'protocol websockets',
      ].join('\n'),
    args: (file) => ['-c', file],
  },
  {
    name: 'nats-server + change stream',
    broker: 'nats',
    program: 'nats-server',
    packages: 'nats-server',
    dialect: 'nats',
    configuration: ({ feed, web }) =>
      `host: 127.0.0.1\nport: ${feed}\nwebsocket { host: 127.0.0.1, port: ${web}, no_tls: true }\n`,
    args: (file) => ['-c', file],
  },
  {
    name: 'nchan + change stream',
    broker: 'nchan',
    program: 'nginx',
    packages: 'nginx libnginx-mod-nchan',
    dialect: 'nchan',
    needs: nchanModule,
    configuration: ({ feed, web }, folder, program) =>
      `load_module ${nchanModule(program)};
user root; daemon off; worker_processes 1; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 20000; }
http {
  access_log off; keepalive_requests 1000000;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  server { listen 127.0.0.1:${feed}; location = /pub { nchan_publisher; nchan_channel_id $arg_topic; nchan_message_buffer_length 10; } }
  server { listen 127.0.0.1:${web} backlog=4096; location = /sub { nchan_subscriber websocket; nchan_channel_id $arg_topic; nchan_subscriber_first_message newest; } }
}
`,
    args: (file, folder) => ['-c', file, '-p', folder],
  },
];

/** A program by name in PATH, or where Debian keeps those of the administrator. */
function programOf(name: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin'];
  return folders.map((folder) => join(folder, name)).find(existsSync) ?? null;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port);
        else reject(new Error('no port'));
      });
    });
  });
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

const START_MS = 10_000;

async function opened(ports: readonly number[], name: string): Promise<void> {
  const untilMs = performance.now() + START_MS;
  for (const port of ports) {
    while (!(await isOpen(port))) {
      if (performance.now() > untilMs) throw new Error(`${name} did not open port ${port}`);
      await delay(50);
    }
  }
}

function kindOf(recipe: Recipe): SubjectKind {
  const { name, packages } = recipe;
  return {
    name,
    missing() {
      const program = programOf(recipe.program);
      const isThere = program !== null && (recipe.needs === undefined || existsSync(recipe.needs(program)));
      return isThere ? null : `not installed (apt-get install ${packages})`;
    },
    async start({ uri, database }): Promise<Subject> {
      const program = programOf(recipe.program);
      if (program === null) throw new Error(`${recipe.program} is not installed`);
      const folder = mkdtempSync(join(tmpdir(), 'bench-broker-'));
      mkdirSync(join(folder, 'logs'));
      const ports: Ports = { feed: await freePort(), web: await freePort() };
      const file = join(folder, 'conf');
      writeFileSync(file, recipe.configuration(ports, folder, program));
      const server = startCommand(program, recipe.args(file, folder));
      await opened([ports.feed, ports.web], name);
      const args = ['--uri', uri, '--database', database, '--broker', recipe.broker, '--port', String(ports.feed)];
      const feed = startProgram('bench/contenders/broker-feed', { args });
      await feed.line(/^feeding/);
      return {
        dialect: recipe.dialect,
        host: '127.0.0.1',
        port: ports.web,
        // nginx works in a child of the process that was started.
        pids: [server.pid, ...childrenOf(server.pid), feed.pid],
        publish: null,
        async stop() {
          await feed.end();
          await server.end();
          rmSync(folder, { recursive: true, force: true });
        },
      };
    },
  };
}

export const BROKERS: readonly SubjectKind[] = RECIPES.map(kindOf);
