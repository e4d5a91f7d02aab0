import { constants } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** A file that is written at given places and made durable. */
export interface WritableFile {
  /** Writes all the bytes at that offset. @throws the system's error, ENOSPC for a full disk */
  write(bytes: Buffer, position: number): Promise<void>;
  /** Makes the file longer by zeros, or shorter. */
  resize(bytes: number): Promise<void>;
  /** Resolves when what was written survives a loss of power. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Nobody else on the machine reads what is kept: it is for the clients of the server, who may have to authenticate. */
export const OWN_FILE = 0o600;
export const OWN_FOLDER = 0o700;

/** What the journal asks of the file system; tests give one that fails. */
export interface Files {
  /** Opens for writing, made when it is not there, kept as it is when it is. The folder knows it durably afterwards. */
  open(path: string): Promise<WritableFile>;
  /** Gives a file its final name, durably. */
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
}

/** A name in a folder is durable once the folder is synced (fsync(2)). Windows has no such call and needs none. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function writable(handle: FileHandle): WritableFile {
  return {
    async write(bytes, position) {
      for (let at = 0; at < bytes.length; ) {
        const { bytesWritten } = await handle.write(bytes, at, bytes.length - at, position + at);
        at += bytesWritten;
      }
    },
    resize: (bytes) => handle.truncate(bytes),
    sync: () => handle.datasync(),
    close: () => handle.close(),
  };
}

export const systemFiles: Files = {
  async open(path) {
    // 'r+' needs the file, 'w+' empties it, and 'a' ignores where to write.
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT, OWN_FILE);
    await syncFolder(dirname(path));
    return writable(handle);
  },
  async rename(from, to) {
    await rename(from, to);
    await syncFolder(dirname(to));
  },
  remove: (path) => rm(path, { force: true }),
};
