import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'rolldown/utils';

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

const COMMON = {
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['es2022', 'safari16.4'],
  legalComments: 'none',
  logLevel: 'warning',
};

/** Names between files of the client that neither callers nor its other part see: they are shortened. */
const INTERNAL =
  /^(followers|followersOf|depthOf|wants|isSteady|inOrder|isOpen|expects|withheld|doubtful|sure|tries|states|settled|doubted|heard|tokenWanted|appeared|unanswered|counters|isUnused|isClosed|pump|named|waiting|deliver|settle|timers|interest|choice|tried|force|ordered)$/;

/** Builds a part of the client library, which counts every byte: a second minifier takes another 4 % off. */
async function buildClient(entry, outfile) {
  const options = { ...COMMON, mangleProps: INTERNAL, plugins: [FALLBACK], entryPoints: [here(entry)], write: false };
  const { outputFiles } = await build(options);
  const settings = { module: true, compress: { target: COMMON.target }, mangle: { toplevel: true } };
  const { code, errors } = await minify(outfile, outputFiles[0].text, settings);
  if (errors.length > 0) throw new AggregateError(errors, `${outfile} cannot be minified`);
  await writeFile(outfile, code);
}

/**
 * Builds `index.html`, `page.js`, `page.css`, the client library, `client.js` with `client-fallback.js`, and
 * `legacy.html` with its script and style, into a folder. Run by itself it builds into `dist/page`.
 */
export async function buildPage(folder) {
  await mkdir(folder, { recursive: true });
  await Promise.all([
    buildClient('../client/connect.ts', `${folder}/client.js`),
    buildClient('../client/fallback.ts', `${folder}/client-fallback.js`),
    build({ ...COMMON, entryPoints: [here('./main.ts')], outfile: `${folder}/page.js` }),
    build({ ...COMMON, entryPoints: [here('./style/page.css')], outfile: `${folder}/page.css` }),
    copyFile(here('./index.html'), `${folder}/index.html`),
    // The test page of the first system's clients: a plain script, since the library that it uses is one.
    build({ ...COMMON, format: 'iife', entryPoints: [here('./legacy/legacy.ts')], outfile: `${folder}/legacy.js` }),
    copyFile(here('./legacy/legacy.css'), `${folder}/legacy.css`),
    copyFile(here('./legacy/legacy.html'), `${folder}/legacy.html`),
  ]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildPage(here('../../dist/page'));
