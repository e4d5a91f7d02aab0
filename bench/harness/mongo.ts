import { MongoClient } from 'mongodb';
import { startProgram } from './child.ts';

/** The MongoDB of one measurement. */
export interface BenchMongo {
  readonly uri: string;
  /** Its process, where it was started here. */
  readonly pid: number | null;
  readonly kind: string;
  stop(): Promise<void>;
}

/** The replica set at `uri`, or the built-in server as a process of its own; `oplogMb` where its usual one is too small. */
export async function startMongo(uri: string | null, oplogMb: number | null = null): Promise<BenchMongo> {
  if (uri !== null) return { uri, pid: null, kind: await kindOf(uri), stop: () => Promise.resolve() };
  const child = startProgram('src/embedded/main', {
    args: ['--port', '0', ...(oplogMb === null ? [] : ['--oplog-size-mb', String(oplogMb)])],
  });
  const found = (await child.line(/listening (mongodb:\S+)/))[1] ?? '';
  return { uri: found, pid: child.pid, kind: 'built-in, in memory', stop: () => child.end() };
}

async function kindOf(uri: string): Promise<string> {
  const client = new MongoClient(uri);
  try {
    const { version } = await client.db('admin').command({ buildInfo: 1 });
    return `mongod ${String(version)}`;
  } finally {
    await client.close();
  }
}

let databases = 0;

/** A database that no other measurement of this run uses. */
export function freshDatabase(): string {
  databases++;
  return `bench_${process.pid}_${databases}`;
}
