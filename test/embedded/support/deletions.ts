import { once } from 'node:events';
import type { ChangeStream } from 'mongodb';

/** The ids of the first `wanted` documents that a change stream shows deleted after `act`; closes the stream. */
export async function deletedAfter(
  stream: ChangeStream,
  act: () => Promise<unknown>,
  wanted: number,
): Promise<unknown[]> {
  const deleted: unknown[] = [];
  const opened = once(stream, 'resumeTokenChanged');
  const enough = new Promise<void>((resolve, reject) => {
    stream.on('error', reject);
    stream.on('change', (event) => {
      if (event.operationType === 'delete') deleted.push(event.documentKey._id);
      if (deleted.length === wanted) resolve();
    });
  });
  await opened;
  await act();
  await enough;
  await stream.close();
  return deleted;
}
