import { defineConfig } from 'vitest/config';

/** The hostile suite: `vitest run --config test/hostile/vitest.config.ts`, or against a running server with run.mjs. */
export default defineConfig({
  test: {
    include: ['test/hostile/**/*.test.ts'],
    // Latencies are measured where the machine is quiet: `npm test -- --config test/hostile/vitest.config.ts test/hostile/latency.test.ts`. Shared machines only add noise to them.
    exclude: process.argv.some((argument) => argument.includes('latency')) ? [] : ['test/hostile/latency.test.ts'],
    globalSetup: ['test/hostile/process/build.ts'],
    // One file after the other: they measure latencies, and the machine is the same.
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
});
