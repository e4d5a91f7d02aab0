// node .ci/start.mjs [MAIN]: starts the service on its built-in MongoDB with the Node that runs this, posts a number, reads
// it back and ends it. MAIN is its program, that of this checkout unless given.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const LATEST_MS = 90_000;
const [program = 'dist/src/main.js'] = process.argv.slice(2);
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
if (posted.status !== 201 || code !== 0) {
  console.error(lines.join('\n'));
  process.exit(1);
}
