import { posix } from 'node:path';
import { importsOf, type SourceFile } from './source-files.ts';

interface Room {
  /** The rooms whose files it may import. */
  readonly rooms: readonly string[];
  /** The packages that it may import; `node:` stands for all modules of Node. */
  readonly packages: readonly string[];
}

/** Who may import what. Imports flow one way; what is not listed here is forbidden. */
export const ROOMS: Readonly<Record<string, Room>> = {
  log: { rooms: [], packages: ['node:', 'pino', 'pino-pretty', 'rotating-file-stream', 'zod'] },
  config: {
    rooms: ['roulette', 'log'],
    packages: ['node:', 'dotenv', 'mongodb', 'mongodb-connection-string-url', 'zod'],
  },
  protocol: { rooms: [], packages: ['zod'] },
  roulette: { rooms: ['protocol'], packages: ['zod', 'bson'] },
  store: { rooms: ['protocol', 'roulette', 'log'], packages: ['node:', 'mongodb', 'zod'] },
  feed: {
    rooms: ['protocol', 'roulette', 'store', 'log'],
    packages: ['node:', 'mongodb', 'mongodb-connection-string-url', 'bson', 'zod'],
  },
  gateway: { rooms: ['protocol', 'roulette', 'log'], packages: ['node:', 'ipaddr.js', 'jose', 'zod'] },
  metrics: { rooms: ['protocol', 'gateway', 'log'], packages: ['node:', 'prom-client', 'zod'] },
  alerts: { rooms: ['metrics', 'protocol', 'log'], packages: ['node:', 'p-retry', 'zod'] },
  embedded: { rooms: [], packages: ['node:', 'bson', 'decimal.js', '@mongodb-js/saslprep', 're2js'] },
  mongo: { rooms: ['log', 'config', 'store'], packages: ['node:', 'mongodb', 'mongodb-memory-server', 'zod'] },
  workers: { rooms: ['log', 'protocol'], packages: ['node:', 'zod'] },
  client: { rooms: ['protocol'], packages: [] },
  dashboard: { rooms: ['client', 'protocol', 'roulette'], packages: ['preact', 'preact/hooks'] },
  simulator: { rooms: ['protocol', 'roulette', 'store'], packages: ['node:', 'mongodb', 'zod'] },
  // A transport more, under the gateway's own limits; the gateway knows nothing of it.
  legacy: { rooms: ['protocol', 'roulette', 'gateway'], packages: ['node:', 'socket.io', 'zod'] },
  app: {
    rooms: [
      'alerts',
      'config',
      'feed',
      'gateway',
      'legacy',
      'log',
      'metrics',
      'mongo',
      'protocol',
      'roulette',
      'store',
      'workers',
    ],
    packages: ['node:', 'mongodb', 'ws', 'zod'],
  },
  cli: {
    rooms: [
      'alerts',
      'app',
      'client',
      'config',
      'feed',
      'gateway',
      'legacy',
      'log',
      'metrics',
      'mongo',
      'protocol',
      'roulette',
      'simulator',
      'store',
      'workers',
    ],
    packages: ['node:', 'ws', 'mongodb', 'jose', 'zod'],
  },
  main: { rooms: ['app', 'config', 'log', 'mongo', 'workers'], packages: ['node:'] },
};

/** Rooms inside the gateway: both of these may import `door`, and never each other. */
const GATEWAY: Readonly<Record<string, readonly string[]>> = {
  network: [],
  door: ['network'],
  live: ['network', 'door'],
  http: ['network', 'door'],
  '': ['network', 'door', 'live', 'http'],
};

/** What a program (a room's `main.ts`) may import beside what its room may. */
const PROGRAM = ['config', 'log'];

/** Single files that may import more, each with its reason. */
const EXCEPTIONS: Readonly<Record<string, { readonly packages: readonly string[]; readonly reason: string }>> = {
  'src/roulette/table.ts': { packages: ['node:'], reason: 'MD5 of a table id; no browser loads this file' },
  'src/gateway/network/uws.ts': { packages: ['uWebSockets.js'], reason: 'the only file that knows uWebSockets.js' },
  'src/gateway/network/node.ts': { packages: ['ws'], reason: 'the maker without a native binary' },
  'src/gateway/network/node-socket.ts': { packages: ['ws'], reason: 'the maker without a native binary' },
  'src/client/react.ts': { packages: ['react'], reason: 'hooks for React, an entry of their own' },
  'src/client/vue.ts': { packages: ['vue'], reason: 'the same for Vue' },
  'src/dashboard/build.ts': { packages: ['node:', 'esbuild'], reason: 'runs at build time, not in the page' },
};

/** Files that may re-export: the door that users of the package import, and what is a bundle of its own, loaded late. */
const DOORS = ['src/client/connect.ts', 'src/client/fallback.ts', 'src/client/extras.ts'];

/** Every import that goes against the arrows, as a sentence. */
export function arrowProblems(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) => [...importProblems(file), ...barrelProblems(file)]);
}

function importProblems(file: SourceFile): string[] {
  return importsOf(file.text).flatMap(({ specifier, typeOnly }) => {
    const wrong = specifier.startsWith('.')
      ? wrongFile(file.path, specifier)
      : wrongPackage(file.path, specifier, typeOnly);
    return wrong === null ? [] : [`${file.path} imports ${specifier}: ${wrong}`];
  });
}

/** The room of a file; `main.ts`, the only file at the top, counts as one. */
const roomOf = (path: string): string | null =>
  /^src\/(?:([^/]+)\/|(main)\.ts$)/.exec(path)?.slice(1).find(Boolean) ?? null;

/** The room inside the gateway; '' for the files beside them. */
const insideGateway = (path: string): string => /^src\/gateway\/([^/]+)\//.exec(path)?.[1] ?? '';

function wrongFile(from: string, specifier: string): string | null {
  const to = posix.join(posix.dirname(from), specifier);
  if (!/\.tsx?$/.test(specifier)) return 'relative imports name the .ts file';
  if (!to.startsWith('src/')) return 'src imports nothing outside src';
  const [source, target] = [roomOf(from), roomOf(to)];
  if (target === 'main') return 'nobody imports main';
  if (source === null || target === null) return 'main.ts is the only file at the top of src';
  if (!Object.hasOwn(ROOMS, source)) return `there is no room ${source}`;
  if (source === target) return source === 'gateway' ? wrongInsideGateway(from, to) : null;
  if (/^src\/[^/]+\/main\.ts$/.test(from) && PROGRAM.includes(target)) return null;
  return ROOMS[source]?.rooms.includes(target) ? null : `${source} may not know ${target}`;
}

function wrongInsideGateway(from: string, to: string): string | null {
  const [source, target] = [insideGateway(from), insideGateway(to)];
  if (source === target || target === '') return null;
  return GATEWAY[source]?.includes(target) ? null : `gateway/${source} may not know gateway/${target}`;
}

function wrongPackage(from: string, specifier: string, typeOnly: boolean): string | null {
  const room = roomOf(from);
  if (room === null) return null;
  const allowed = [...(ROOMS[room]?.packages ?? []), ...(EXCEPTIONS[from]?.packages ?? [])];
  if (allowed.includes(specifier.startsWith('node:') ? 'node:' : specifier)) return null;
  // A type is gone before anything runs, but its room would still be tied to that package: only BSON's are shared.
  if (typeOnly && specifier === 'bson') return null;
  return `${room} may not use ${specifier}`;
}

function barrelProblems(file: SourceFile): string[] {
  if (/(^|\/)index\.ts$/.test(file.path)) return [`${file.path}: no index.ts, import the file you mean`];
  const reexports = /(?:^|\n)export\s+(?:type\s+)?(?:\*|\{[^}]*\})[^;\n]*\sfrom\s/.test(file.text);
  return reexports && !DOORS.includes(file.path) ? [`${file.path}: no barrels, export only what is made here`] : [];
}

/** Every circle of files that import each other, types included, as the list of its files. */
export function circles(files: readonly SourceFile[]): string[][] {
  const known = new Set(files.map(({ path }) => path));
  const targets = new Map(
    files.map(({ path, text }) => [
      path,
      importsOf(text)
        .filter(({ specifier }) => specifier.startsWith('.'))
        .map(({ specifier }) => posix.join(posix.dirname(path), specifier))
        .filter((target) => known.has(target)),
    ]),
  );
  const found: string[][] = [];
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path);
    if (at >= 0) found.push(trail.slice(at));
    if (at >= 0 || done.has(path)) return;
    for (const target of targets.get(path) ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const { path } of files) visit(path, []);
  return found;
}
