import { serveStream } from '../workers/stream.ts';
import { type DataParts, startData } from './data.ts';

export interface ReaderParts extends Omit<DataParts, 'stream'> {
  /** Where workers connect to. */
  readonly path: string;
}

export interface StreamReader {
  /** Resolves when workers can be served for the first time. */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
}

/** Starts the process that reads MongoDB for the workers of this machine. Rejects when the path cannot be had. */
export async function startReader({ path, ...parts }: ReaderParts): Promise<StreamReader> {
  const data = startData({ ...parts, stream: null });
  const server = await serveStream(path, data.feed.replicate).catch(async (error: unknown) => {
    await data.stop();
    throw error;
  });
  return {
    ready: data.feed.ready,
    async stop() {
      await server.stop();
      await data.stop();
    },
  };
}
