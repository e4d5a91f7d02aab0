import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { StaticFile } from '../gateway/http/deps.ts';

const SCRIPT = 'text/javascript; charset=utf-8';

/** Bundles of the client that first pages load from the server itself, as Socket.IO serves them. */
const BUNDLES = ['socket.io.js', 'socket.io.min.js', 'socket.io.esm.min.js'] as const;

const PAGE: readonly (readonly [file: string, type: string])[] = [
  ['legacy.html', 'text/html; charset=utf-8'],
  ['legacy.js', SCRIPT],
  ['legacy.css', 'text/css; charset=utf-8'],
];

/**
 * The test page, from the folder of built pages, and the library's own client bundles, by path. What is not built is not
 * served. Throws where the package is not whole.
 */
export function legacyFiles(pageFolder: string): Map<string, StaticFile> {
  const files = new Map<string, StaticFile>();
  const bundles = join(dirname(createRequire(import.meta.url).resolve('socket.io/package.json')), 'client-dist');
  for (const name of BUNDLES) {
    files.set(`/socket.io/${name}`, { type: SCRIPT, body: readFileSync(join(bundles, name)), immutable: false });
  }
  for (const [name, type] of PAGE) {
    const path = join(pageFolder, name);
    if (existsSync(path)) files.set(`/${name}`, { type, body: readFileSync(path), immutable: false });
  }
  return files;
}
