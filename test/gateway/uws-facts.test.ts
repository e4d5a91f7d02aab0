import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Runs a script in a process of its own; resolves with how it ended. */
function endOf(script: string): Promise<{ code: number | null; signal: string | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--input-type=commonjs', '-e', script], { cwd: root });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    child.on('error', reject).on('close', (code, signal) => resolve({ code, signal, output }));
  });
}

/** A server with one client that never reads, poured at until `dropped` fires; `dropped` is the given code. */
const pourInto = (dropped: string, options = 'closeOnBackpressureLimit: 1'): string => `
  const uWS = require('uWebSockets.js');
  const { WebSocket } = require('ws');
  let alive = false;
  const app = uWS.App().ws('/ws', {
    maxBackpressure: 65536, ${options},
    open(ws) { console.log('ready'); alive = true; ws.subscribe('a'); },
    dropped(ws) { ${dropped} },
    close() { alive = false; console.log('closed'); setImmediate(() => process.exit(0)); },
  });
  app.listen('127.0.0.1', 0, 1, (token) => {
    const client = new WebSocket('ws://127.0.0.1:' + uWS.us_socket_local_port(token) + '/ws');
    client.on('open', () => {
      client._socket.pause();
      let left = 2000;
      const pour = () => { if (left-- === 0) process.exit(3); app.publish('a', 'x'.repeat(16384)); setImmediate(pour); };
      pour();
    });
  });`;

/**
 * What this project's code leans on in uWebSockets.js, seen with the pinned version. A failure here after an upgrade
 * means: read the code that mentions it again.
 */
describe('uWebSockets.js', () => {
  it('kills the process when a socket is ended inside `dropped`', async () => {
    const { code, signal, output } = await endOf(pourInto('ws.end(4100);'));
    expect(output).toMatch(/^ready\n/);
    expect(signal ?? code).not.toBe(0);
  });

  it('survives when that is deferred and the socket still lives', async () => {
    const { code, output } = await endOf(pourInto('setImmediate(() => { if (alive) ws.close(); });'));
    expect({ code, output }).toEqual({ code: 0, output: 'ready\nclosed\n' });
  });

  it('skips messages in silence without closeOnBackpressureLimit', async () => {
    const { code, output } = await endOf(pourInto('', 'closeOnBackpressureLimit: 0'));
    expect({ code, output }).toEqual({ code: 3, output: 'ready\n' });
  });

  it.each([1, 7, 961])('ends the process without an exception for an idle timeout of %i s', async (seconds) => {
    const script = `
      const uWS = require('uWebSockets.js');
      console.log('ready');
      try { uWS.App().ws('/ws', { idleTimeout: ${seconds} }); } catch { console.log('thrown'); }
      process.exit(0);`;
    const { code, signal, output } = await endOf(script);
    expect(output).toBe('ready\n');
    expect(signal ?? code).not.toBe(0);
  });

  it('ends the process when a handler returns with neither an answer nor onAborted', async () => {
    const script = `
      const uWS = require('uWebSockets.js');
      uWS.App().get('/', () => {}).listen('127.0.0.1', 0, 1, (token) => {
        console.log('ready');
        fetch('http://127.0.0.1:' + uWS.us_socket_local_port(token)).then(() => process.exit(0), () => process.exit(0));
      });`;
    const { code, signal, output } = await endOf(script);
    expect(output).toBe('ready\n');
    expect(signal ?? code).not.toBe(0);
  });
});
