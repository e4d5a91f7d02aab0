import { copyFile, mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { buildForPages, TARGET } from '../client/build.mjs';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const COMMON = {
  bundle: true,
  minify: true,
  format: 'esm',
  target: TARGET,
  jsx: 'automatic',
  jsxImportSource: 'preact',
  legalComments: 'none',
  logLevel: 'warning',
};

/**
 * Builds `index.html`, `page.js`, `page.css`, the client library, `client.js` with its late files, and
 * `legacy.html` with its script and style, into a folder. Run by itself it builds into `dist/page`.
 */
export async function buildPage(folder) {
  await mkdir(folder, { recursive: true });
  await Promise.all([
    buildForPages(folder),
    build({ ...COMMON, entryPoints: [here('./main.tsx')], outfile: `${folder}/page.js` }),
    build({ ...COMMON, entryPoints: [here('./style/page.css')], outfile: `${folder}/page.css` }),
    copyFile(here('./index.html'), `${folder}/index.html`),
    // The test page of the first system's clients: a plain script, since the library that it uses is one.
    build({
      ...COMMON,
      format: 'iife',
      entryPoints: [here('../legacy/page/legacy.ts')],
      outfile: `${folder}/legacy.js`,
    }),
    copyFile(here('../legacy/page/legacy.css'), `${folder}/legacy.css`),
    copyFile(here('../legacy/page/legacy.html'), `${folder}/legacy.html`),
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildPage(here('../../dist/page'));
