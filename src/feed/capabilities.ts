import type { MongoClient } from 'mongodb';
import { fieldsOr } from './fields.ts';

/** What the server can do beyond the oldest one that is supported (4.4). */
export interface Capabilities {
  /** `7.0.14`, as `buildInfo` says it. */
  readonly version: string;
  /** Whether `$changeStreamSplitLargeEvent` exists: from 6.0.9 and 7.0 on. */
  readonly splitsLargeEvents: boolean;
}

/** Reads a version as `buildInfo` gives it; of text that is none, nothing is assumed. */
export function capabilitiesOf(version: string): Capabilities {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return { version, splitsLargeEvents: major > 6 || (major === 6 && (minor > 0 || patch >= 9)) };
}

/** Asks the server; needs no privilege. Rejects with the driver's error. */
export async function askCapabilities(client: MongoClient): Promise<Capabilities> {
  const { version } = fieldsOr(await client.db('admin').command({ buildInfo: 1 }));
  return capabilitiesOf(typeof version === 'string' ? version : '');
}
