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
  protocol: { rooms: [], packages: ['zod'] },
  roulette: { rooms: ['protocol'], packages: ['zod', 'bson'] },
  store: { rooms: ['protocol', 'roulette'], packages: ['node:', 'mongodb', 'zod'] },
  feed: { rooms: ['protocol', 'roulette', 'store'], packages: ['node:', 'mongodb', 'bson', 'zod'] },
  gateway: { rooms: ['protocol', 'roulette'], packages: ['node:', 'uWebSockets.js', 'jose', 'prom-client', 'zod'] },
  embedded: { rooms: [], packages: ['node:', 'bson', 'mingo', 're2js'] },
  client: { rooms: ['protocol'], packages: [] },
  dashboard: { rooms: ['client', 'protocol', 'roulette'], packages: [] },
  simulator: { rooms: ['protocol', 'roulette', 'store'], packages: ['node:', 'mongodb', 'zod'] },
  // A transport more, under the gateway's own limits; the gateway knows nothing of it.
  legacy: { rooms: ['protocol', 'roulette', 'gateway'], packages: ['node:', 'socket.io', 'uWebSockets.js', 'zod'] },
  cli: {
    rooms: ['protocol', 'roulette', 'store', 'feed', 'gateway', 'embedded', 'client', 'simulator', 'legacy'],
    packages: ['node:', 'mongodb', 'jose', 'zod', 'uWebSockets.js'],
  },
};

/** Files beside `main.ts` that programs (a room's `main.ts`, and `cli`) may import; they import no room. */
const GROUND = [
  'config',
  'setting',
  'settings',
  'strangers',
  'log',
  'log-events',
  'redact',
  'mongo-choice',
  'mongod',
  'version',
];

/** Single files that may import more, each with its reason. */
const EXCEPTIONS: Readonly<Record<string, { readonly packages: readonly string[]; readonly reason: string }>> = {
  'src/roulette/uuid.ts': { packages: ['node:'], reason: 'MD5 of a table id; kept out of what browsers load' },
  'src/dashboard/build.ts': { packages: ['node:', 'esbuild'], reason: 'runs at build time, not in the page' },
};

/** Files that may re-export: the door that users of the package import, and what is a bundle of its own, loaded late. */
const DOORS = ['src/client/connect.ts', 'src/client/fallback.ts'];

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

const roomOf = (path: string): string | null => /^src\/([^/]+)\//.exec(path)?.[1] ?? null;
const groundName = (path: string): string => path.replace(/^src\/|\.ts$/g, '');

function wrongFile(from: string, specifier: string): string | null {
  const to = posix.join(posix.dirname(from), specifier);
  if (!specifier.endsWith('.ts')) return 'relative imports name the .ts file';
  if (!to.startsWith('src/')) return 'src imports nothing outside src';
  if (to === 'src/main.ts') return 'nobody imports main';
  const [source, target] = [roomOf(from), roomOf(to)];
  if (source === null) return wrongFromTop(from, to, target);
  if (source === target) return null;
  if (!Object.hasOwn(ROOMS, source)) return `there is no room ${source}`;
  if (target === null) {
    const isProgram = source === 'cli' || /^src\/[^/]+\/main\.ts$/.test(from);
    return isProgram && GROUND.includes(groundName(to))
      ? null
      : 'rooms are handed what they need, programs alone may read it';
  }
  return ROOMS[source]?.rooms.includes(target) ? null : `${source} may not know ${target}`;
}

function wrongFromTop(from: string, to: string, target: string | null): string | null {
  if (!GROUND.includes(groundName(from))) return null;
  return target === null && GROUND.includes(groundName(to)) ? null : 'the ground knows no room';
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
