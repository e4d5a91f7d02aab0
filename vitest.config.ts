import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/faults/**', 'test/hostile/**', 'test/browser/**'],
    // Two cores: more workers only fight over them, and every file starts servers of its own.
    maxWorkers: 2,
    // A service that a test starts without MONGODB_URI keeps its data in memory.
    env: { EMBEDDED_DATA_DIR: '' },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
