import { type Files, systemFiles, type WritableFile } from '../../../src/embedded/journal/files.ts';

/** The real file system, except where the test says otherwise. */
export interface TestDisk extends Files {
  /** Calls of sync that have returned. */
  readonly syncs: number;
  /** Calls of sync that wait for `letSync`. */
  readonly waiting: number;
  /** From now on a sync waits until it is let. */
  holdSync(): void;
  letSync(): void;
  /** From now on writes of files whose path matches wait until they are let. */
  holdWrites(path: RegExp): void;
  letWrites(): void;
  /** Writes put only half of their bytes down and fail with this code; undefined: they work again. */
  failWrites(code: string | undefined): void;
  failSync(code: string | undefined): void;
}

/** A door that is open until it is closed. */
function createDoor() {
  let waiting: (() => void)[] = [];
  let closed = false;
  return {
    get waiting() {
      return waiting.length;
    },
    close() {
      closed = true;
    },
    open() {
      closed = false;
      for (const go of waiting) go();
      waiting = [];
    },
    pass: () => (closed ? new Promise<void>((go) => waiting.push(go)) : Promise.resolve()),
  };
}

const failure = (code: string) => Object.assign(new Error(`${code}: the test's disk fails`), { code });

export function createTestDisk(): TestDisk {
  const syncDoor = createDoor();
  const writeDoor = createDoor();
  let held: RegExp | undefined;
  let writeCode: string | undefined;
  let syncCode: string | undefined;
  let syncs = 0;
  const wrap = (file: WritableFile, path: string): WritableFile => ({
    async write(bytes, position) {
      if (held?.test(path) === true) await writeDoor.pass();
      if (writeCode !== undefined) {
        await file.write(bytes.subarray(0, bytes.length / 2), position);
        throw failure(writeCode);
      }
      await file.write(bytes, position);
    },
    resize: (bytes) => file.resize(bytes),
    async sync() {
      await syncDoor.pass();
      if (syncCode !== undefined) throw failure(syncCode);
      await file.sync();
      syncs += 1;
    },
    close: () => file.close(),
  });
  return {
    open: async (path) => wrap(await systemFiles.open(path), path),
    rename: systemFiles.rename,
    remove: systemFiles.remove,
    get syncs() {
      return syncs;
    },
    get waiting() {
      return syncDoor.waiting;
    },
    holdSync: syncDoor.close,
    letSync: syncDoor.open,
    holdWrites(path) {
      held = path;
      writeDoor.close();
    },
    letWrites: writeDoor.open,
    failWrites(code) {
      writeCode = code;
    },
    failSync(code) {
      syncCode = code;
    },
  };
}
