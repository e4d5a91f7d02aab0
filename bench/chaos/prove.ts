import { spawn } from 'node:child_process';

/**
 * Everything that is proved, in full: `npm run prove [-- --rounds N]`. Each part runs in a process of its own and prints
 * what it found; the first one that fails ends the run with its exit code.
 */
const rounds = process.argv.includes('--rounds') ? process.argv[process.argv.indexOf('--rounds') + 1] : '2000';

const PARTS: readonly (readonly string[])[] = [
  [process.execPath, 'dist/bench/chaos/main.js', '--rounds', rounds ?? '2000'],
  ['npx', 'vitest', 'run', '--config', 'test/faults/vitest.config.ts'],
  [process.execPath, '--expose-gc', 'dist/bench/feed.js'],
];

const run = ([program = '', ...args]: readonly string[]): Promise<number> =>
  new Promise((resolve, reject) => {
    spawn(program, args, { stdio: 'inherit' })
      .once('error', reject)
      .once('exit', (code) => resolve(code ?? 1));
  });

for (const part of PARTS) {
  console.log(`prove: ${part.slice(1).join(' ')}`);
  const code = await run(part);
  if (code !== 0) process.exit(code);
}
console.log(`prove: everything held, ${new Date().toISOString()}`);
