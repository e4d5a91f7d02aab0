// node test/hostile/run.mjs [--url ws://127.0.0.1:5000/ws] [vitest arguments]
import { spawn } from 'node:child_process';

const args = process.argv.slice(2);
const at = args.indexOf('--url');
const [, url] = at < 0 ? [] : args.splice(at, 2);
if (at >= 0 && (url === undefined || !URL.canParse(url) || !/^wss?:$/.test(new URL(url).protocol))) {
  console.error('--url needs the address of a running server, like ws://127.0.0.1:5000/ws');
  process.exit(2);
}
const child = spawn('npx', ['vitest', 'run', '--config', 'test/hostile/vitest.config.ts', ...args], {
  stdio: 'inherit',
  env: { ...process.env, ...(url === undefined ? {} : { HOSTILE_URL: url }) },
});
child.on('exit', (code) => process.exit(code ?? 1));
