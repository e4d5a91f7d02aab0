import { copyFile, mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The part of the client that only networks without WebSockets need stays a file of its own, loaded when it is used. */
const FALLBACK = {
  name: 'fallback-apart',
  setup(bundler) {
    bundler.onResolve({ filter: /\/fallback\.ts$/ }, ({ kind }) =>
      kind === 'dynamic-import' ? { path: './client-fallback.js', external: true } : undefined,
    );
  },
};

/**
 * Builds `index.html`, `page.js`, `page.css`, the client library, `client.js` with `client-fallback.js`, and
 * `legacy.html` with its script and style, into a folder. Run by itself it builds into `dist/page`.
 */
export async function buildPage(folder) {
  await mkdir(folder, { recursive: true });
  const common = {
    bundle: true,
    minify: true,
    format: 'esm',
    target: ['es2022', 'safari16.4'],
    legalComments: 'none',
    logLevel: 'warning',
  };
  const client = { ...common, plugins: [FALLBACK] };
  await Promise.all([
    build({ ...client, entryPoints: [here('../client/connect.ts')], outfile: `${folder}/client.js` }),
    build({ ...client, entryPoints: [here('../client/fallback.ts')], outfile: `${folder}/client-fallback.js` }),
    build({ ...common, entryPoints: [here('./main.ts')], outfile: `${folder}/page.js` }),
    build({ ...common, entryPoints: [here('./style/page.css')], outfile: `${folder}/page.css` }),
    copyFile(here('./index.html'), `${folder}/index.html`),
    // The test page of the first system's clients: a plain script, since the library that it uses is one.
    build({ ...common, format: 'iife', entryPoints: [here('./legacy/legacy.ts')], outfile: `${folder}/legacy.js` }),
    copyFile(here('./legacy/legacy.css'), `${folder}/legacy.css`),
    copyFile(here('./legacy/legacy.html'), `${folder}/legacy.html`),
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildPage(here('../../dist/page'));
