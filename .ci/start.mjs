// node .ci/start.mjs [MAIN [NETWORK]]: starts the service on its built-in MongoDB with the Node that runs this, posts a
// number and ends it. MAIN is its program, that of this checkout unless given; NETWORK (uws, node) is the library that it
// must have found.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const LATEST_MS = 90_000;
const [program = 'dist/src/main.js', wanted = null] = process.argv.slice(2);
const env = {
  PORT: '0',
  MONGODB_URI: '',
  MONGO: 'builtin',
  EMBEDDED_PORT: '0',
  EMBEDDED_DATA_DIR: '',
  DRAIN_SECONDS: '0',
};
const service = spawn(process.execPath, [program], {
  env: { ...process.env, ...env },
  stdio: ['ignore', 'pipe', 'inherit'],
});
const ended = new Promise((resolve) => service.once('exit', resolve));
const late = setTimeout(() => service.kill('SIGKILL'), LATEST_MS);
const lines = [];
let url = '';
for await (const line of createInterface({ input: service.stdout })) {
  lines.push(line);
  url ||= /"event":"listening".*"url":"([^"]+)"/.exec(line)?.[1] ?? '';
  if (line.includes('"event":"ready"')) break;
}
service.stdout.resume();
const number = { roleta_id: '2010165', roleta_nome: 'Roulette', numero: 17 };
const posted = await fetch(`${url}/api/v1/numbers`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify(number),
}).catch((error) => ({ status: String(error) }));
const { network } = await fetch(`${url}/status`)
  .then((answer) => answer.json())
  .catch(() => ({ network: 'no answer' }));
service.kill('SIGTERM');
const code = await ended;
clearTimeout(late);
console.log(`Node ${process.version}: post ${posted.status}, exit ${code}, network: ${network}`);
const found = network === 'uWebSockets.js' ? 'uws' : 'node';
// Windows has no SIGTERM: the process is ended without a word.
const endedWell = code === 0 || process.platform === 'win32';
if (posted.status !== 201 || !endedWell || (wanted !== null && wanted !== found)) {
  console.error(lines.join('\n'));
  process.exit(1);
}
