import { randomUUID } from 'node:crypto';
import { startEmbeddedMongo } from '../../src/embedded/server.ts';

export interface TestMongo {
  readonly uri: string;
  stop(): Promise<void>;
}

/**
 * The MongoDB that tests run on: the built-in one, or the replica set named by TEST_MONGODB_URI. Tests use databases
 * with names of their own, so that they can share a server.
 */
export async function startMongo(): Promise<TestMongo> {
  const given = process.env['TEST_MONGODB_URI'];
  if (given !== undefined && given !== '') return { uri: given, stop: () => Promise.resolve() };
  return await startEmbeddedMongo();
}

/** A database name that no other test has. */
export const freshDatabase = (): string => `t_${randomUUID().slice(0, 8)}`;
