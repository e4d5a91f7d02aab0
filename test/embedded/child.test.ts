import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildCli } from './support/process.ts';
import { connectWire } from './support/wire.ts';

let program = '';
beforeAll(async () => {
  program = await buildCli('child');
});

const started = new Set<ChildProcess>();
afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
});

function start(...args: string[]): ChildProcess {
  const child = fork(program, args, { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
  started.add(child);
  child.once('exit', () => started.delete(child));
  return child;
}

async function message(child: ChildProcess): Promise<{ [field: string]: unknown }> {
  const [first]: unknown[] = await once(child, 'message');
  return Object(first);
}

/** A parent that starts the server as its child and passes on what that says. */
const PARENT = `
import { fork } from 'node:child_process';
const child = fork(process.argv[1], ['--port', '0'], { execArgv: [], stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
child.on('message', (message) => process.send({ ...message, pid: child.pid }));
`;

test('a child of another program says over IPC where it listens, and serves there', async () => {
  const child = start('--port', '0');
  const said = await message(child);
  expect(said).toEqual({
    type: 'listening',
    uri: expect.stringMatching(/^mongodb:\/\/127\.0\.0\.1:\d+\/\?replicaSet=rs0$/),
    port: expect.any(Number),
  });
  const wire = await connectWire(Number(said['port']));
  expect(await wire.command({ ping: 1, $db: 'admin' })).toMatchObject({ ok: { value: 1 } });
  wire.close();
  const exited = once(child, 'exit');
  child.disconnect();
  expect(await exited).toEqual([0, null]);
});

test('it ends on SIGTERM though its channel is open, and leaves SIGINT to its parent', async () => {
  const child = start('--port', '0');
  const { port } = await message(child);
  child.kill('SIGINT');
  const wire = await connectWire(Number(port));
  expect(await wire.command({ ping: 1, $db: 'admin' })).toMatchObject({ ok: { value: 1 } });
  wire.close();
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await exited).toEqual([0, null]);
});

test('a server whose parent is killed ends and frees its port', async () => {
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', PARENT, program], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  started.add(parent);
  const { port, pid } = await message(parent);
  const wire = await connectWire(Number(port));
  parent.kill('SIGKILL');
  await wire.closed;
  await expect.poll(() => isRunning(Number(pid)), { timeout: 10_000 }).toBe(false);
});

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test('a start that fails is told over IPC with the error of the system', async () => {
  const taken = createServer();
  await new Promise<void>((resolve) => {
    taken.listen(0, '127.0.0.1', resolve);
  });
  const address = taken.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const child = start('--port', String(port));
  const exited = once(child, 'exit');
  expect(await message(child)).toMatchObject({ type: 'failed', code: 'EADDRINUSE' });
  expect(await exited).toEqual([1, null]);
  taken.close();
});
