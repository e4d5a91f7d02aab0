import { existsSync, readFileSync } from 'node:fs';
import type { StaticFile } from '../gateway/http/deps.ts';

const PAGE: ReadonlyMap<string, [file: string, type: string]> = new Map([
  ['/', ['index.html', 'text/html; charset=utf-8']],
  ['/page.js', ['page.js', 'text/javascript; charset=utf-8']],
  ['/page.css', ['page.css', 'text/css; charset=utf-8']],
  ['/client.js', ['client.js', 'text/javascript; charset=utf-8']],
  ['/client-fallback.js', ['client-fallback.js', 'text/javascript; charset=utf-8']],
  ['/client-extras.js', ['client-extras.js', 'text/javascript; charset=utf-8']],
  ['/client-worker.js', ['client-worker.js', 'text/javascript; charset=utf-8']],
]);

/** The built page and client library in a folder, by path; what is not built is not served. */
export function pageFilesIn(folder: string): Map<string, StaticFile> {
  const files = new Map<string, StaticFile>();
  for (const [path, [file, type]] of PAGE) {
    const full = `${folder}/${file}`;
    if (existsSync(full)) files.set(path, { type, body: readFileSync(full), immutable: false });
  }
  return files;
}
