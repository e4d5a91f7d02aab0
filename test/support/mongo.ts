import { randomUUID } from 'node:crypto';
import { ownSurroundings } from '../../src/config/load.ts';
import { startEmbeddedMongo } from '../../src/embedded/server.ts';
import { findMongod, startMongod } from '../../src/mongo/choose.ts';

export interface TestMongo {
  readonly uri: string;
  stop(): Promise<void>;
}

/**
 * The MongoDB that tests run on: the replica set named by TEST_MONGODB_URI, a mongod of this machine (TEST_MONGO=mongod),
 * else the built-in one. Tests use databases with names of their own, so that they can share a server.
 */
export async function startMongo(): Promise<TestMongo> {
  const given = process.env['TEST_MONGODB_URI'];
  if (given !== undefined && given !== '') return { uri: given, stop: () => Promise.resolve() };
  if (process.env['TEST_MONGO'] === 'mongod') {
    const binary = findMongod(process.env['MONGOMS_SYSTEM_BINARY'] ?? null, ownSurroundings());
    if (binary === null) throw new Error('TEST_MONGO=mongod, but no mongod program was found');
    return await startMongod(binary, 0);
  }
  return await startEmbeddedMongo();
}

/** A database name that no other test has. */
export const freshDatabase = (): string => `t_${randomUUID().slice(0, 8)}`;
