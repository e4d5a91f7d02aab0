import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createFakeFeed, type FakeFeed } from '../client/fake-feed.ts';
import { type FakeHttpServer, startFakeHttp } from '../client/fake-http.ts';
import { type PackedProject, packProject, run } from '../client/packed.ts';
import { SPEED, VIP } from '../client/stage.ts';
import { hasChromium, launchChromium } from './theatre.ts';

const CONFIG = `import react from '@vitejs/plugin-react';
import vue from '@vitejs/plugin-vue';
import { compile } from 'svelte/compiler';

const svelte = {
  name: 'svelte',
  transform: (code, id) => (id.endsWith('.svelte') ? compile(code, { filename: id }).js : null),
};
const pages = ['react', 'hydrate', 'vue', 'svelte', 'shared', 'streamed'];
export default {
  plugins: [react(), vue(), svelte],
  build: { rollupOptions: { input: pages.map((name) => name + '.html') } },
};
`;

const REACT = `import { StrictMode, Suspense, useState } from 'react';
import { ClientContext, useConnection, useTable, useTables } from 'runcash-live-client/react';
import { client } from './client';

function Card({ id, suspense = false }: { readonly id: string; readonly suspense?: boolean }) {
  const table = useTable(id, { history: 5, suspense });
  return <p className={id}>{table ? table.nome + ' ' + (table.numeros[0]?.numero ?? '') : 'no table'}</p>;
}

function Page({ waits }: { readonly waits: boolean }) {
  const [id, setId] = useState('${SPEED.id}');
  return (
    <main>
      <h1>before</h1>
      <h2>{useConnection().name} {useTables().length}</h2>
      <button type="button" onClick={() => setId('${VIP.id}')}>other</button>
      <Card id={id} />
      <section>
        <Suspense fallback="waiting">{waits && <Card id="VIP Roulette" suspense />}</Suspense>
      </section>
    </main>
  );
}

export const App = ({ waits }: { readonly waits: boolean }) => (
  <StrictMode>
    <ClientContext value={client}>
      <Page waits={waits} />
    </ClientContext>
  </StrictMode>
);
`;

const VUE = `<script setup>
import { ref } from 'vue';
import { provideClient } from 'runcash-live-client/vue';
import { client } from './client';
import Card from './Card.vue';
provideClient(client);
const id = ref('${SPEED.id}');
</script>
<template><button @click="id = '${VIP.id}'">other</button><Card :id="id" /></template>
`;

const VUE_CARD = `<script setup>
import { useTable } from 'runcash-live-client/vue';
const props = defineProps(['id']);
const table = useTable(() => props.id);
</script>
<template><p>{{ table ? table.nome + ' ' + table.numeros[0].numero : 'no table' }}</p></template>
`;

const SVELTE = `<script>
import { table } from 'runcash-live-client/svelte';
import { client } from './client';
let id = $state('${SPEED.id}');
const store = $derived(table(client, id));
</script>
<button onclick={() => { id = '${VIP.id}'; }}>other</button>
<p>{$store ? $store.nome + ' ' + $store.numeros[0].numero : 'no table'}</p>
`;

/** A page without any framework, that connects with these options. */
const plain = (url: string, options: string): string => `import { connect } from 'runcash-live-client';
const [p] = document.getElementsByTagName('p');
connect('${url}', ${options}).subscribe('roulette:${SPEED.id}', {
  onTable: (table) => { p.textContent = table.nome + ' ' + table.numeros[0].numero; },
});
`;

const html = (script: string, body: string): string =>
  `<!doctype html><link rel="icon" href="data:,"><div id="root">${body}</div><script type="module" src="/${script}"></script>`;

let project: PackedProject;
let feed: FakeFeed;
let server: FakeHttpServer;
let chromium: Awaited<ReturnType<typeof launchChromium>>;
const children: ChildProcess[] = [];

/** Starts Vite as its users do; the address that it prints. */
async function vite(...args: readonly string[]): Promise<string> {
  const child = spawn(
    process.execPath,
    ['node_modules/vite/bin/vite.js', ...args, '--port', '0', '--host', '127.0.0.1'],
    {
      cwd: project.folder,
      env: { ...process.env, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  children.push(child);
  process.once('exit', () => child.kill('SIGKILL'));
  let output = '';
  child.stderr.on('data', (piece) => {
    output += String(piece);
  });
  for await (const line of createInterface({ input: child.stdout })) {
    output += `${line}\n`;
    const [, url] = /(http:\/\/127\.0\.0\.1:\d+)/.exec(line) ?? [];
    if (url !== undefined) return url;
  }
  throw new Error(`Vite ended: ${output}`);
}

beforeAll(async () => {
  if (!hasChromium) return;
  feed = createFakeFeed(Date.now, [SPEED, VIP]);
  feed.past(SPEED.id, [17]);
  feed.past(VIP.id, [32]);
  server = await startFakeHttp(feed);
  project = await packProject();
  const mount = (imports: string, start: string): string =>
    `${imports}\nconst root = document.getElementById('root');\n${start}\n`;
  const files = {
    'vite.config.js': CONFIG,
    'client.ts': `import { connect } from 'runcash-live-client';\nexport const client = connect('${server.url}');\n`,
    'app.tsx': REACT,
    'react.tsx': mount(
      "import { createRoot } from 'react-dom/client';\nimport { App } from './app';",
      'createRoot(root).render(<App waits />);',
    ),
    'hydrate.tsx': mount(
      "import { hydrateRoot } from 'react-dom/client';\nimport { App } from './app';",
      'hydrateRoot(root, <App waits={false} />);',
    ),
    'App.vue': VUE,
    'Card.vue': VUE_CARD,
    'vue.js': mount("import { createApp } from 'vue';\nimport App from './App.vue';", 'createApp(App).mount(root);'),
    'App.svelte': SVELTE,
    'svelte.js': mount(
      "import { mount } from 'svelte';\nimport App from './App.svelte';",
      'mount(App, { target: root });',
    ),
    'shared.js': plain(server.url, '{ share: true }'),
    'streamed.js': plain(server.url, "{ transports: ['sse'] }"),
    'render.mjs': `import { createElement } from 'react';
import { renderToString } from 'react-dom/server';
import { createServer } from 'vite';
const dev = await createServer({ server: { middlewareMode: true }, appType: 'custom', logLevel: 'error' });
const { App } = await dev.ssrLoadModule('/app.tsx');
console.log(renderToString(createElement(App, { waits: false })));
await dev.close();
`,
    'react.html': html('react.tsx', ''),
    'vue.html': html('vue.js', ''),
    'svelte.html': html('svelte.js', ''),
    'shared.html': html('shared.js', '<p></p>'),
    'streamed.html': html('streamed.js', '<p></p>'),
  };
  for (const [name, text] of Object.entries(files)) await project.write(name, text);
  const { stdout } = await run(process.execPath, ['render.mjs'], { cwd: project.folder, timeout: 60_000 });
  await project.write('hydrate.html', html('hydrate.tsx', stdout.trim()));
  chromium = await launchChromium();
}, 120_000);

afterAll(async () => {
  for (const child of children) {
    child.kill('SIGKILL');
    await once(child, 'close');
  }
  await chromium?.close();
  await server?.stop();
  await project?.stop();
});

/** Opens a page, and everything that it complains of. */
async function open(url: string): Promise<{ page: Page; problems: string[] }> {
  const page = await (await chromium.browser.newContext()).newPage();
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) problems.push(message.text());
  });
  await page.goto(url);
  return { page, problems };
}

/** Waits until an element has this text. */
const shows = (page: Page, selector: string, text: string): Promise<unknown> =>
  page.waitForSelector(`${selector}:text-is("${text}")`, { timeout: 20_000 });

/** The last number of a table. */
const newest = ({ id }: { readonly id: string }): unknown => feed.tables.get(id)?.numeros.at(-1)?.numero;

/** A page that shows one table follows it, and the other one after a click, over one connection. */
async function followsBoth(page: Page): Promise<void> {
  await shows(page, 'p', `Roulette ${newest(SPEED)}`);
  feed.number(SPEED.id, 21);
  await shows(page, 'p', 'Roulette 21');
  await page.click('button');
  await shows(page, 'p', `VIP Roulette ${newest(VIP)}`);
  // Of a page that was closed or loaded anew for a newly bundled dependency nothing is left.
  await expect.poll(() => server.openSockets()).toBe(1);
}

const closePages = async (): Promise<void> => {
  for (const context of chromium.browser.contexts()) await context.close();
};

describe.runIf(hasChromium)('the package in a fresh project of Vite, in Chromium', () => {
  let dev = '';
  let built = '';
  beforeAll(async () => {
    dev = await vite();
    await run(process.execPath, ['node_modules/vite/bin/vite.js', 'build', '--logLevel', 'warn'], {
      cwd: project.folder,
      timeout: 60_000,
    });
    built = await vite('preview');
  }, 120_000);

  afterEach(closePages);

  it('follows tables in React under StrictMode, suspends, and keeps its connection over a hot reload', async () => {
    const { page, problems } = await open(`${dev}/react.html`);
    await followsBoth(page);
    await shows(page, 'section p', 'VIP Roulette 32');
    await shows(page, 'h2', 'live 2');
    await page.evaluate(() => Reflect.set(globalThis, 'stayed', true));
    const opened = server.opened.websocket;
    await project.write('app.tsx', REACT.replace('<h1>before</h1>', '<h1>after</h1>'));
    await shows(page, 'h1', 'after');
    feed.number(VIP.id, 8);
    await shows(page, 'section p', 'VIP Roulette 8');
    expect(await page.evaluate(() => Reflect.get(globalThis, 'stayed'))).toBe(true);
    expect(server.opened.websocket).toBe(opened);
    expect(problems).toEqual([]);
    await project.write('app.tsx', REACT);
  });

  it.each(['dev', 'built'] as const)('takes over what a server rendered with React: %s', async (kind) => {
    const { page, problems } = await open(`${kind === 'dev' ? dev : built}/hydrate.html`);
    await followsBoth(page);
    expect(problems).toEqual([]);
  });

  it.each([
    ['Vue', 'vue.html'],
    ['Svelte', 'svelte.html'],
  ])('follows a table in %s, and another one when its id changes', async (_name, file) => {
    for (const url of [dev, built]) {
      const { page, problems } = await open(`${url}/${file}`);
      await followsBoth(page);
      expect(problems).toEqual([]);
      await closePages();
    }
  });

  it('loads what it needs late, and the worker that leads for all tabs, from where the bundler put them', async () => {
    for (const url of [dev, built]) {
      for (const file of ['streamed.html', 'shared.html']) {
        const { page, problems } = await open(`${url}/${file}`);
        await shows(page, 'p', `Roulette ${newest(SPEED)}`);
        expect(problems).toEqual([]);
        if (url === built && file === 'shared.html') {
          const control = await chromium.browser.newBrowserCDPSession();
          const { targetInfos } = await control.send('Target.getTargets');
          const workers = targetInfos.filter((target) => target.type === 'shared_worker' && target.url.startsWith(url));
          expect(workers).toHaveLength(1);
        }
        await closePages();
      }
    }
  });
});
