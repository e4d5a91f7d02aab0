import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runConformance } from '../../src/cli/conformance.ts';

const PYTHON = process.env['TEST_PYTHON'] ?? '/usr/bin/python3';
const hasWebsockets = spawnSync(PYTHON, ['-c', 'import websockets']).status === 0;

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runcash-conformance-'));
  const bundle = join(folder, 'client.mjs');
  await build({
    entryPoints: ['src/client/connect.ts'],
    bundle: true,
    format: 'esm',
    outfile: bundle,
    logLevel: 'error',
  });
  await writeFile(
    join(folder, 'follow.mjs'),
    `import { createRequire } from 'node:module';
import { connect } from ${JSON.stringify(pathToFileURL(bundle).href)};
const { WebSocket } = createRequire(${JSON.stringify(join(process.cwd(), 'package.json'))})('ws');
const client = connect(process.env.RUNCASH_URL, { WebSocket, transports: ['websocket'] });
for await (const message of client.subscribe(process.env.RUNCASH_TOPIC)) console.log(JSON.stringify(message));
`,
  );
  await writeFile(
    join(folder, 'careless.mjs'),
    `import { createRequire } from 'node:module';
const { WebSocket } = createRequire(${JSON.stringify(join(process.cwd(), 'package.json'))})('ws');
function open() {
  const socket = new WebSocket(process.env.RUNCASH_URL.replace('http', 'ws') + '/ws');
  socket.on('open', () => socket.send(JSON.stringify({ type: 'subscribe', id: 1, topics: [process.env.RUNCASH_TOPIC] })));
  socket.on('message', (data) => console.log(String(data)));
  socket.on('error', () => undefined);
  socket.on('close', () => setTimeout(open, 50));
}
open();
`,
  );
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** The lines that the command printed, and its exit code. */
async function conformance(client: string, ...more: readonly string[]) {
  const lines: string[] = [];
  const code = await runConformance(['--client', client, ...more], {
    print: (line) => lines.push(line),
    note: (line) => lines.push(line),
  });
  return { code, lines };
}

describe('the conformance command', () => {
  it('passes the TypeScript client in every scenario', async () => {
    const { code, lines } = await conformance(`"${process.execPath}" "${join(folder, 'follow.mjs')}"`);
    expect(lines.filter((line) => !line.startsWith('ok '))).toEqual([]);
    expect(lines.length).toBeGreaterThan(15);
    expect(code).toBe(0);
  }, 180_000);

  it.skipIf(!hasWebsockets)(
    'passes the Python client in every scenario',
    async () => {
      const command = `PYTHONPATH=src/client/python "${PYTHON}" -m runcash_live "$RUNCASH_URL" "$RUNCASH_TOPIC"`;
      const { code, lines } = await conformance(command);
      expect(lines.filter((line) => !line.startsWith('ok '))).toEqual([]);
      expect(code).toBe(0);
    },
    180_000,
  );

  it('passes the client that PROTOCOL.md shows, in every scenario', async () => {
    const block = /```js\n(\/\/ client\.js\n[\s\S]*?)```/.exec(await readFile('src/protocol/PROTOCOL.md', 'utf8'))?.[1];
    const prelude = `import { createRequire } from 'node:module';
const { WebSocket } = createRequire(${JSON.stringify(join(process.cwd(), 'package.json'))})('ws');
const SERVER = process.env.RUNCASH_URL.replace('http', 'ws');
const TOPICS = [process.env.RUNCASH_TOPIC];
const apply = (message) => console.log(JSON.stringify(message));
`;
    await writeFile(join(folder, 'documented.mjs'), `${prelude}${block}`);
    const { code, lines } = await conformance(`"${process.execPath}" "${join(folder, 'documented.mjs')}"`);
    expect(lines.filter((line) => !line.startsWith('ok '))).toEqual([]);
    expect(code).toBe(0);
  }, 180_000);

  it.each(['twice', 'gap', 'cut', 'bye'])(
    'finds what a client that keeps no position does wrong: %s',
    async (name) => {
      const command = `"${process.execPath}" "${join(folder, 'careless.mjs')}"`;
      const { code, lines } = await conformance(command, '--only', name, '--timeout', '20');
      expect(lines[0]).toMatch(new RegExp(`^FAIL  ${name}: `));
      expect(code).toBe(1);
    },
    60_000,
  );

  it('says what is wrong with its command line', async () => {
    expect(await conformance('', '--only', 'live')).toMatchObject({ code: 2 });
    expect(await conformance('true', '--only', 'dance')).toMatchObject({ code: 2 });
    expect((await conformance('true', '--only', 'live', '--timeout', '5')).lines[0]).toContain('the client ended');
  });
});
