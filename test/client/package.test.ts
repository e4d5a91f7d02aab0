import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { transform } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFakeFeed } from './fake-feed.ts';
import { type FakeHttpServer, startFakeHttp } from './fake-http.ts';
import { packProject, root, run, tsc } from './packed.ts';
import { SPEED, VIP } from './stage.ts';

/** The last one that resolves as Node 10 did. */
const tsc5 = join(root, 'node_modules/typescript-5/bin/tsc');

let project = '';
let write: (name: string, text: string) => Promise<void>;
let server: FakeHttpServer;
let stop = async (): Promise<void> => undefined;

beforeAll(async () => {
  ({ folder: project, write, stop } = await packProject());
  const feed = createFakeFeed(Date.now, [SPEED, VIP]);
  feed.past(SPEED.id, [17, 0]);
  server = await startFakeHttp(feed);
}, 120_000);

afterAll(async () => {
  await server?.stop();
  await stop();
});

/** Type-checks files of the project, strictly, libraries included; the errors, or nothing. */
async function typeErrors(files: readonly string[], options: Record<string, unknown>, compiler = tsc): Promise<string> {
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    target: 'ES2022',
    lib: ['ES2023', 'DOM', 'DOM.Iterable'],
    types: [],
    noEmit: true,
    ...options,
  };
  const name = `tsconfig.${Object.values(options).join('-')}.json`;
  await write(name, JSON.stringify({ compilerOptions, files }));
  return run(process.execPath, [compiler, '-p', name], { cwd: project }).then(
    () => '',
    (error: { stdout?: string }) => error.stdout ?? String(error),
  );
}

/** A program that prints the newest number, then ends. */
const program = (imports: string): string => `${imports}
const client = connect(${JSON.stringify(server.url)}, { WebSocket });
const subscription = client.subscribe('roulette:${SPEED.id}');
subscription.ready().then(() => {
  console.log(subscription.tables.get('${SPEED.id}').numeros.map(({ numero }) => numero).join());
  client.close();
});
`;

describe('the package of the client', () => {
  it('brings no dependencies, and its parts stay small', async () => {
    expect((await readdir(join(project, 'node_modules'))).filter((name) => !name.startsWith('.'))).toContain(
      'runcash-live-client',
    );
    const lock: unknown = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8'));
    expect(
      Object.keys(lock instanceof Object && 'packages' in lock && lock.packages instanceof Object ? lock.packages : {}),
    ).toEqual(['', 'node_modules/runcash-live-client']);
    for (const view of ['react', 'vue', 'svelte', 'query']) {
      const text = await readFile(join(project, 'node_modules/runcash-live-client/esm', `${view}.js`), 'utf8');
      const { code } = await transform(text, { minify: true, format: 'esm' });
      expect(gzipSync(code).length, view).toBeLessThan(1024);
    }
  });

  it('carries source maps with the sources', async () => {
    for (const format of ['esm', 'cjs']) {
      const file = join(project, 'node_modules/runcash-live-client', format, 'index.js.map');
      const map: { sources: string[]; sourcesContent: string[] } = JSON.parse(await readFile(file, 'utf8'));
      expect(map.sourcesContent).toHaveLength(map.sources.length);
      expect(map.sourcesContent.join()).toContain('INVARIANT exactly-once');
    }
  });

  it('runs when imported and when required', async () => {
    await write('run.mjs', program("import { connect } from 'runcash-live-client';\nimport { WebSocket } from 'ws';"));
    await write(
      'run.cjs',
      program("const { connect } = require('runcash-live-client');\nconst { WebSocket } = require('ws');"),
    );
    for (const file of ['run.mjs', 'run.cjs']) {
      const { stdout } = await run(process.execPath, [file], { cwd: project, timeout: 20_000 });
      expect(stdout.trim(), file).toBe('0,17');
    }
  });

  it('loads its late files in both formats', async () => {
    const page = `const client = connect(${JSON.stringify(server.url)}, { transports: ['sse'], persist: { getItem: () => null, setItem: () => undefined } });
const subscription = client.subscribe('*');
subscription.ready().then(() => { console.log(client.tables.size); client.close(); });
`;
    await write('late.mjs', `import { connect } from 'runcash-live-client';\n${page}`);
    await write('late.cjs', `const { connect } = require('runcash-live-client');\n${page}`);
    for (const file of ['late.mjs', 'late.cjs']) {
      const { stdout } = await run(process.execPath, [file], { cwd: project, timeout: 20_000 });
      expect(stdout.trim(), file).toBe('2');
    }
  });

  it('has types for every way to resolve a module', async () => {
    const uses = `import { type Client, type ClientState, connect, type NewNumber, type Table, UnauthorizedError } from 'runcash-live-client';
export const client: Client = connect('http://127.0.0.1:1', { token: () => { throw new UnauthorizedError(); } });
export const seen: (NewNumber | Table | ClientState)[] = [];
client.subscribe('roulette:2010165', { onNumber: (event, table) => seen.push(event, table), onSnapshot: (_, { reason }) => reason satisfies string });
// @ts-expect-error: there is no such listener
client.subscribe('*', { onNumbers: () => undefined });
`;
    const views = `import { useTable, useTables } from 'runcash-live-client/react';
import { table } from 'runcash-live-client/svelte';
import { tableQuery } from 'runcash-live-client/query';
import { useConnection } from 'runcash-live-client/vue';
import { client } from './uses';
export const all = [useTable('1')?.numeros[0]?.numero, useTables().length, table(client, '1'), tableQuery(client, '1').queryFn().then((found) => found?.id), useConnection().value.name];
`;
    await write('uses.ts', uses);
    await write('views.ts', views);
    await write('uses.mts', uses);
    await write('uses.cts', uses);
    expect(await typeErrors(['views.ts', 'uses.ts'], { module: 'esnext', moduleResolution: 'bundler' })).toBe('');
    expect(await typeErrors(['uses.mts', 'uses.cts'], { module: 'node16', moduleResolution: 'node16' })).toBe('');
    expect(await typeErrors(['uses.mts', 'uses.cts'], { module: 'nodenext', moduleResolution: 'nodenext' })).toBe('');
    const node10 = { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '5.0', skipLibCheck: true };
    expect(await typeErrors(['uses.ts', 'views.ts'], node10, tsc5)).toBe('');
  });
});

describe('a fresh project', () => {
  it('of Vite and React 19 builds, and renders on a server without connecting', async () => {
    await write(
      'app.tsx',
      `import { renderToString } from 'react-dom/server';
import { connect } from 'runcash-live-client';
import { ClientContext, useConnection, useTable, useTables } from 'runcash-live-client/react';

const client = connect('http://127.0.0.1:1');
function Card({ id }: { readonly id: string }) {
  const table = useTable(id, { history: 5 });
  return <p>{table ? table.numeros[0]?.numero : 'no table'} {useTables().length} {useConnection().name}</p>;
}
export const html = (): string => renderToString(<ClientContext value={client}><Card id="2010165" /></ClientContext>);
`,
    );
    expect(await typeErrors(['app.tsx'], { module: 'esnext', moduleResolution: 'bundler', jsx: 'react-jsx' })).toBe('');
    await write('print.mjs', "import { html } from './dist/app.mjs';\nconsole.log(html());\n");
    await write(
      'build.mjs',
      "import { build } from 'vite';\nawait build({ logLevel: 'warn', build: { ssr: 'app.tsx', outDir: 'dist', rollupOptions: { output: { entryFileNames: 'app.mjs' } } }, ssr: { noExternal: ['runcash-live-client'] } });\n",
    );
    await run(process.execPath, ['build.mjs'], { cwd: project, timeout: 60_000 });
    const { stdout } = await run(process.execPath, ['print.mjs'], { cwd: project, timeout: 20_000 });
    expect(stdout.replaceAll('<!-- -->', '').trim()).toBe('<p>no table 0 idle</p>');
  }, 90_000);

  it('of Vue follows a table, and another one when the id changes', async () => {
    await write(
      'vue.mjs',
      `import { createRenderer, createSSRApp, h, nextTick, ref } from 'vue';
import { renderToString } from 'vue/server-renderer';
import { connect } from 'runcash-live-client';
import { provideClient, useTable } from 'runcash-live-client/vue';
import { WebSocket } from 'ws';

const client = connect(${JSON.stringify(server.url)}, { WebSocket });
const id = ref('${SPEED.id}');
const Card = { setup() { const table = useTable(id); return () => h('p', table.value ? table.value.nome : 'no table'); } };
const App = { setup() { provideClient(client); return () => h(Card); } };
console.log(await renderToString(createSSRApp(App)), client.state.name);

const texts = [];
const drawn = (text) => new Promise((resolve) => {
  const look = () => { if (texts.at(-1) === text) resolve(); else setTimeout(look, 10); };
  look();
});
const none = () => null;
const { createApp } = createRenderer({
  patchProp: none, insert: none, remove: none, createText: none, createComment: none, setText: none, parentNode: none,
  nextSibling: none, createElement: (tag) => ({ tag }), setElementText: (_, text) => texts.push(text),
});
const app = createApp(App);
app.mount({});
await drawn('Roulette');
id.value = '${VIP.id}';
await nextTick();
await drawn('VIP Roulette');
app.unmount();
client.close();
console.log(texts.join());
`,
    );
    const { stdout } = await run(process.execPath, ['vue.mjs'], { cwd: project, timeout: 20_000 });
    expect(stdout.trim().split('\n')).toEqual(['<p>no table</p> idle', 'no table,Roulette,no table,VIP Roulette']);
  });

  it('of Svelte shows a table in a compiled component', async () => {
    await write(
      'svelte.mjs',
      `import { writeFileSync } from 'node:fs';
import { compile } from 'svelte/compiler';
import { get } from 'svelte/store';
import { render } from 'svelte/server';
import { connect } from 'runcash-live-client';
import { table } from 'runcash-live-client/svelte';
import { WebSocket } from 'ws';

const client = connect(${JSON.stringify(server.url)}, { WebSocket });
const source = '<script>const { store } = $props();</script><p>{$store?.numeros[0].numero}</p>';
writeFileSync('card.mjs', compile(source, { generate: 'server', name: 'Card' }).js.code);
const { default: Card } = await import('./card.mjs');
const store = table(client, '${SPEED.id}');
await new Promise((resolve) => { const stop = store.subscribe((value) => { if (value) { resolve(); queueMicrotask(() => stop()); } }); });
console.log(render(Card, { props: { store } }).body.replace(/<!--.*?-->/g, ''), get(store)?.nome);
client.close();
`,
    );
    const { stdout } = await run(process.execPath, ['svelte.mjs'], { cwd: project, timeout: 20_000 });
    expect(stdout.trim()).toBe('<p>0</p> Roulette');
  });
});
