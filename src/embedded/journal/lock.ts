import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join, relative } from 'node:path';
import { OWN_FILE } from './files.ts';
import { DataFolderError } from './frames.ts';

/** `sun_path` of the smallest system, with its ending zero. */
const MAX_SOCKET_PATH = 103;
const NAME = /^lock-[0-9]+-[0-9a-f]{12}$/;

/** The shorter of both ways to name a file. @throws DataFolderError when neither is a possible socket */
function socketPath(path: string): string {
  const near = relative(process.cwd(), path);
  const shorter = near.length < path.length ? near : path;
  if (Buffer.byteLength(shorter) <= MAX_SOCKET_PATH) return shorter;
  throw new DataFolderError(`the path of the data folder is too long for its lock: ${path}`);
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.on('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EAGAIN' || error.code === 'EACCES'));
  });
}

function listen(path: string): Promise<() => Promise<void>> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy()).unref();
    server.once('error', reject);
    server.listen(path, () => {
      if (process.platform !== 'win32') chmodSync(path, OWN_FILE);
      resolve(() => new Promise((done) => server.close(() => done())));
    });
  });
}

function inUse(folder: string, holder?: string): DataFolderError {
  const process = holder === undefined ? '' : ` (process ${holder})`;
  return new DataFolderError(`the data folder ${folder} is in use by another server${process}`, {
    code: 'FOLDER_IN_USE',
  });
}

/**
 * Takes the folder for this server alone, until the returned function is called or the process ends in any way.
 *
 * Each server listens on a socket file of its own and then looks for others that listen. Of two that start together the
 * later sees the earlier, so never both go on; a file whose process was killed refuses connections and is nobody's, and
 * since no name is used twice it can be removed without a race. No process number is trusted: they are used again, and
 * mean nothing in another container.
 *
 * @throws DataFolderError when another server has it
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  if (process.platform === 'win32') {
    // Named pipes end with their process and cannot be opened twice.
    const name = createHash('sha256').update(realpathSync(folder)).digest('hex');
    return await listen(`\\\\.\\pipe\\runcash-live-${name}`).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'EADDRINUSE' ? inUse(folder) : error;
    });
  }
  const own = `lock-${process.pid}-${randomBytes(6).toString('hex')}`;
  const release = await listen(socketPath(join(folder, own)));
  for (const name of readdirSync(folder)) {
    if (name === own || !NAME.test(name)) continue;
    const path = join(folder, name);
    if (await isListening(socketPath(path))) {
      await release();
      throw inUse(folder, name.split('-')[1]);
    }
    rmSync(path, { force: true });
  }
  return release;
}
