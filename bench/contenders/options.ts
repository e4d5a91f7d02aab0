import { parseArgs } from 'node:util';

/** What every contender is told: the replica set and the database to follow. */
export interface ContenderOptions {
  readonly uri: string;
  readonly database: string;
}

/** Reads the command line. @throws Error when an option is missing or unknown */
export function contenderOptions(): ContenderOptions {
  const { values } = parseArgs({ options: { uri: { type: 'string' }, database: { type: 'string' } } });
  const { uri, database } = values;
  if (uri === undefined || database === undefined) throw new Error('--uri and --database are needed');
  return { uri, database };
}

/** Tells the bench where it can connect, once it can. */
export function listening(port: number): void {
  console.log(`listening ${port}`);
}

/** Ends at once, and also when the bench is gone. */
export function endWithBench(): void {
  process.once('SIGTERM', () => process.exit(0));
  process.on('disconnect', () => process.exit(0));
}
