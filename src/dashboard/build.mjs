import { copyFile, mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/**
 * Builds `index.html`, `page.js`, `page.css` and the client library `client.js` into a folder.
 * Run by itself it builds into `dist/page`.
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
  await Promise.all([
    build({ ...common, entryPoints: [here('../client/connect.ts')], outfile: `${folder}/client.js` }),
    build({ ...common, entryPoints: [here('./main.ts')], outfile: `${folder}/page.js` }),
    build({ ...common, entryPoints: [here('./style/page.css')], outfile: `${folder}/page.css` }),
    copyFile(here('./index.html'), `${folder}/index.html`),
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildPage(here('../../dist/page'));
