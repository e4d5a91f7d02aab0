import { forbidMongodDownload } from '../config/load.ts';

const START_TIMEOUT_MS = 60_000;

/**
 * Starts a mongod program as replica set `rs0` of one node on loopback, with its data in a temporary folder that is
 * deleted by `stop`; `args` are options of its own. Takes another port when the wished one is not free. Rejects when mongodb-memory-server, an
 * optional package, is absent, or the program does not start within a minute.
 */
export async function startMongod(
  binary: string,
  port: number,
  args: readonly string[] = [],
): Promise<{ uri: string; stop(): Promise<void> }> {
  forbidMongodDownload();
  const { MongoMemoryReplSet } = await import('mongodb-memory-server');
  const set = await MongoMemoryReplSet.create({
    binary: { systemBinary: binary },
    instanceOpts: [{ port, args: [...args], launchTimeout: START_TIMEOUT_MS }],
    replSet: { name: 'rs0', count: 1, storageEngine: 'wiredTiger', ip: '127.0.0.1' },
  });
  return {
    uri: set.getUri(),
    async stop() {
      await set.stop({ doCleanup: true });
    },
  };
}
