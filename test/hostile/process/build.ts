import { build } from 'esbuild';

/** The processes beside the tests, as plain JavaScript: Node 20 does not run TypeScript. */
export async function setup(): Promise<void> {
  await build({
    entryPoints: ['test/hostile/process/server.ts', 'test/hostile/process/witness.ts'],
    outdir: 'dist/hostile',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'warning',
  });
}
