import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Not there, which is all that was asked.
    return false;
  }
}

/** A program of this machine, named by a variable or found in the usual folders; null when it is not there. */
export function programNamed(variable: string, name: string): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/usr/bin'];
  const candidates = [process.env[variable] ?? '', ...folders.map((folder) => join(folder, name))];
  return candidates.find((path) => path !== '' && isProgram(path)) ?? null;
}
