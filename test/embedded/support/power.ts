import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Files, systemFiles } from '../../../src/embedded/journal/files.ts';

type Change =
  | { readonly kind: 'write'; readonly position: number; readonly bytes: Buffer }
  | { readonly kind: 'resize'; readonly size: number };

type Event =
  | { readonly kind: 'open'; readonly path: string; readonly file: number }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string }
  | { readonly kind: 'remove'; readonly path: string }
  | { readonly kind: 'change'; readonly file: number; readonly change: Change }
  /** Everything that was changed in the file before the event `since` is durable. */
  | { readonly kind: 'synced'; readonly file: number; readonly since: number };

/** The system's file layer, with everything remembered that reaches it and when it became durable. */
export interface PowerFiles extends Files {
  /** How much has happened so far: a moment at which the power may fail. */
  readonly moment: number;
  /** Puts into `folder` what a disk may hold when the power fails at that moment: all that is durable, and of the rest as much as `chance` gives (0 to 1). */
  lose(folder: string, moment: number, chance: () => number): void;
}

/** What a disk writes or does not, as a whole. */
const SECTOR_BYTES = 512;

function applied(before: Buffer, change: Change): Buffer {
  if (change.kind === 'resize') {
    const after = Buffer.alloc(change.size);
    before.copy(after);
    return after;
  }
  const { position, bytes } = change;
  const after = before.length >= position + bytes.length ? before : Buffer.alloc(position + bytes.length);
  if (after !== before) before.copy(after);
  bytes.copy(after, position);
  return after;
}

/** What is left of a change that nobody waited for: nothing, all, or some of its sectors. */
function leftOf(change: Change, chance: () => number): Change[] {
  if (change.kind === 'resize') return chance() < 0.5 ? [] : [change];
  const fate = chance();
  if (fate < 0.25) return [];
  if (fate < 0.5) return [change];
  const { position, bytes } = change;
  const sectors: Change[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + SECTOR_BYTES - ((position + at) % SECTOR_BYTES));
    if (chance() < 0.5) sectors.push({ kind: 'write', position: position + at, bytes: bytes.subarray(at, end) });
    at = end;
  }
  return sectors;
}

export function createPowerFiles(): PowerFiles {
  const events: Event[] = [];
  let lastFile = 0;
  /** By path: which file a name stands for. */
  const names = new Map<string, number>();
  return {
    get moment() {
      return events.length;
    },
    async open(path) {
      const inner = await systemFiles.open(path);
      let file = names.get(path);
      if (file === undefined) {
        lastFile += 1;
        file = lastFile;
        names.set(path, file);
        events.push({ kind: 'open', path, file });
      }
      const own = file;
      const changed = (change: Change): void => void events.push({ kind: 'change', file: own, change });
      return {
        async write(bytes, position) {
          changed({ kind: 'write', position, bytes: Buffer.from(bytes) });
          await inner.write(bytes, position);
        },
        async resize(size) {
          changed({ kind: 'resize', size });
          await inner.resize(size);
        },
        async sync() {
          const since = events.length;
          await inner.sync();
          events.push({ kind: 'synced', file: own, since });
        },
        close: inner.close,
      };
    },
    async rename(from, to) {
      await systemFiles.rename(from, to);
      const file = names.get(from);
      names.delete(from);
      if (file !== undefined) names.set(to, file);
      events.push({ kind: 'rename', from, to });
    },
    async remove(path) {
      await systemFiles.remove(path);
      names.delete(path);
      events.push({ kind: 'remove', path });
    },
    lose(folder, moment, chance) {
      mkdirSync(folder, { recursive: true });
      const past = events.slice(0, moment);
      const paths = new Map<string, number>();
      const contents = new Map<number, Buffer>();
      const durableUntil = new Map<number, number>();
      for (const event of past) if (event.kind === 'synced') durableUntil.set(event.file, event.since);
      for (const [at, event] of past.entries()) {
        if (event.kind === 'open') paths.set(event.path, event.file);
        else if (event.kind === 'remove') paths.delete(event.path);
        else if (event.kind === 'rename') {
          const file = paths.get(event.from);
          paths.delete(event.from);
          if (file !== undefined) paths.set(event.to, file);
        } else if (event.kind === 'change') {
          const { file, change } = event;
          const changes = at < (durableUntil.get(file) ?? 0) ? [change] : leftOf(change, chance);
          for (const one of changes) contents.set(file, applied(contents.get(file) ?? Buffer.alloc(0), one));
        }
      }
      for (const [path, file] of paths) {
        writeFileSync(join(folder, basename(path)), contents.get(file) ?? Buffer.alloc(0));
      }
    },
  };
}
