import { copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'rolldown/utils';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Files that are loaded when they are used, by the names they get for pages. */
const LATE = { fallback: 'client-fallback', extras: 'client-extras' };

/** The script of a SharedWorker has one name everywhere: bundlers look for it as it is written. */
const WORKER = 'client-worker';

/** Keeps what is loaded late a file of its own, named by `nameOf`. */
const lateFiles = (nameOf) => ({
  name: 'late-files',
  setup(bundler) {
    bundler.onResolve({ filter: /\/(fallback|extras)\.ts$/ }, ({ kind, path }) =>
      kind === 'dynamic-import' ? { path: nameOf(/(\w+)\.ts$/.exec(path)[1]), external: true } : undefined,
    );
  },
});

/**
 * Names between files of the client that neither a caller nor the protocol sees: shortened, in all files alike. What is
 * a field of the protocol may not be here, which a test checks.
 */
const SHORTENED = `
  acknowledge alive answer arm authenticate cancel changed choice content controls counters defaultHistory deliver
  depthOf doubted doubtful drop duplex emit event expects finish follow followers followersOf force foreign freshToken
  heard inOrder interest isArmed isClosed isOpen isSteady items iterator keep known left load lost mark markLive meant
  named ordered pendingAt progress promise pump reach refuse report requested restored resume settle settled show
  single start states stopAll sure table tablesOf takeAck takeReset takeSnapshot timers tokenWanted took tried tries
  unanswered wake wants withheld woke
`
  .trim()
  .split(/\s+/);
export const INTERNAL = new RegExp(`^(${SHORTENED.join('|')})$`);

/** The browsers that a page may be opened with. */
export const TARGET = ['es2022', 'safari16.4'];

/**
 * Builds `client.js` and its late files for pages. Every byte counts: a second minifier takes another 4 % off.
 */
export async function buildForPages(folder) {
  const entries = { client: 'connect', 'client-fallback': 'fallback', 'client-extras': 'extras', [WORKER]: WORKER };
  let mangleCache = {};
  for (const [name, entry] of Object.entries(entries)) {
    const { outputFiles, ...built } = await build({
      bundle: true,
      minify: true,
      format: 'esm',
      target: TARGET,
      legalComments: 'none',
      logLevel: 'warning',
      mangleProps: INTERNAL,
      mangleCache,
      plugins: [lateFiles((late) => `./${LATE[late]}.js`)],
      entryPoints: [here(`./${entry}.ts`)],
      write: false,
    });
    mangleCache = built.mangleCache;
    const outfile = join(folder, `${name}.js`);
    const settings = { module: true, compress: { target: TARGET }, mangle: { toplevel: true } };
    const { code, errors } = await minify(outfile, outputFiles[0].text, settings);
    if (errors.length > 0) throw new AggregateError(errors, `${outfile} cannot be minified`);
    await writeFile(outfile, code);
  }
  const unused = SHORTENED.filter((name) => !(name in mangleCache));
  if (unused.length > 0) throw new Error(`nothing in the client is called ${unused.join(', ')}`);
}

/** The entries of the package, and what they load late. */
const ENTRIES = { index: 'connect', fallback: 'fallback', extras: 'extras', [WORKER]: WORKER };
const VIEWS = ['react', 'vue', 'svelte', 'query'];

/** Copies the declarations of the client and of what they name, with the endings that every resolution knows. */
async function copyTypes(from, to) {
  for (const room of ['client', 'protocol']) {
    await mkdir(join(to, room), { recursive: true });
    for (const file of await readdir(join(from, room))) {
      if (!file.endsWith('.d.ts')) continue;
      const text = await readFile(join(from, room, file), 'utf8');
      await writeFile(join(to, room, file), text.replace(/(from '|import\(')(\.[^']+)\.ts'/g, "$1$2.js'"));
    }
  }
}

/**
 * Builds the package `runcash-live-client` into a folder, from the sources and from the declarations that the compiler
 * left in `declarations`.
 */
export async function buildPackage(folder, declarations) {
  await rm(folder, { recursive: true, force: true });
  for (const [format, type] of [
    ['esm', 'module'],
    ['cjs', 'commonjs'],
  ]) {
    await mkdir(join(folder, format), { recursive: true });
    await build({
      bundle: true,
      format,
      // What is required names its exports in the way that Node finds when it is imported.
      platform: format === 'cjs' ? 'node' : 'neutral',
      supported: { 'dynamic-import': format === 'esm' },
      // What is required knows no address of its own, and so starts no worker.
      define: format === 'cjs' ? { 'import.meta.url': 'undefined' } : {},
      target: TARGET,
      sourcemap: true,
      sourcesContent: true,
      logLevel: 'warning',
      external: ['react', 'vue'],
      plugins: [lateFiles((late) => `./${late}.js`)],
      entryPoints: {
        ...Object.fromEntries(Object.entries(ENTRIES).map(([name, file]) => [name, here(`./${file}.ts`)])),
        ...Object.fromEntries(VIEWS.map((name) => [name, here(`./${name}.ts`)])),
      },
      outdir: join(folder, format),
    });
    await writeFile(join(folder, format, 'package.json'), `${JSON.stringify({ type })}\n`);
    await copyTypes(declarations, join(folder, format, 'types'));
  }
  await copyFile(here('./package.json'), join(folder, 'package.json'));
  await copyFile(here('./README.md'), join(folder, 'README.md'));
  await copyFile(here('../../LICENSE'), join(folder, 'LICENSE'));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await buildPackage(here('../../dist/client'), here('../../dist/src'));
}
