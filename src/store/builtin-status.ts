import type { MongoClient } from 'mongodb';
import { z } from 'zod';
import type { Log } from '../log/log.ts';
import type { BuiltinStatus } from '../protocol/delivery.ts';
import { isUnauthorized } from './errors.ts';

/** Follows what the built-in MongoDB reports. */
interface BuiltinWatch {
  /** What it reported last; null of a real MongoDB, and before the first answer. */
  readonly status: () => BuiltinStatus | null;
  stop(): void;
}

const EVERY_MS = 5_000;
/** The log has a line whenever the memory in use passes another tenth of the limit. */
const STEPS = 10;
const BYTES_PER_MB = 1024 * 1024;

/** The part of `serverStatus` that the built-in MongoDB has of its own (src/embedded/README.md). */
const ANSWER = z.object({
  runcash: z
    .object({
      bytesHeld: z.number(),
      limitBytes: z.number(),
      oplogBytes: z.number(),
      diskFailure: z.string().nullable(),
    })
    .transform(({ bytesHeld: heldBytes, ...rest }): BuiltinStatus => ({ heldBytes, ...rest })),
});

/**
 * The status of the built-in MongoDB; null where the server is another one, or does not let this user ask. Rejects with
 * the driver's error when no answer came.
 */
export async function readBuiltinStatus(client: MongoClient): Promise<BuiltinStatus | null> {
  try {
    const parsed = ANSWER.safeParse(await client.db('admin').command({ serverStatus: 1 }));
    return parsed.success ? parsed.data.runcash : null;
  } catch (error) {
    if (isUnauthorized(error)) return null;
    throw error;
  }
}

/** Asks at once and then again and again, until a server answers that has nothing to report. */
export function watchBuiltin(read: () => Promise<BuiltinStatus | null>, log: Log): BuiltinWatch {
  let status: BuiltinStatus | null = null;
  let toldStep = -1;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  const tell = ({ heldBytes, limitBytes }: BuiltinStatus): void => {
    const step = Math.floor((heldBytes / limitBytes) * STEPS);
    if (step <= toldStep) return;
    toldStep = step;
    const [heldMb, limitMb] = [heldBytes, limitBytes].map((bytes) => Math.round(bytes / BYTES_PER_MB));
    log.info('mongo_memory', { heldMb, limitMb });
  };
  const ask = async (): Promise<void> => {
    try {
      status = await read();
      if (status === null) return;
      tell(status);
    } catch (error) {
      log.debug('mongo_unasked', { error: error instanceof Error ? error.message : String(error) });
    }
    if (!stopped) timer = setTimeout(ask, EVERY_MS).unref();
  };
  void ask();
  return {
    status: () => status,
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
